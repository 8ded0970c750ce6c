"""Files that a request brings with it, as bytes whose type was sniffed. Nothing is decoded."""

import base64
import hashlib
from dataclasses import dataclass, field


def fingerprint(data: bytes) -> str:
    """What stands for a file in the form that the cache goes by."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Picture:
    """`media_type` such as `image/png`; width and height in pixels, as its header tells."""

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def data_url(self) -> str:
        return f"data:{self.media_type};base64,{self.base64}"


@dataclass(frozen=True, slots=True)
class Sound:
    """`seconds` is an upper bound, and `media_type` such as `audio/wav`."""

    data: bytes = field(repr=False)
    media_type: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF; `pages` is an upper bound."""

    data: bytes = field(repr=False)
    media_type: str
    pages: int

    @property
    def data_url(self) -> str:
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"
