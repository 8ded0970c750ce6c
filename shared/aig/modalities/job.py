"""What video, music and 3D have in common: a provider takes a job on, tells how it goes, and has files at its end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage

JobKind = Literal["video", "music", "three_d"]
Handle = Mapping[
    str, Any
]  # JSON of an adapter's own, two kilobytes at most: all that it needs to ask for the job again
MAX_HANDLE_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Linked:
    """A file of the result behind a URL of the provider's.

    `headers` hold a key, and go to the provider's own host only.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Inline:
    """A file of the result that came with the answer itself."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """A file of the result that nobody makes before it is wanted: `make` takes a while, and may be called again."""

    make: Callable[[], bytes] = field(repr=False)


Source = Linked | Inline | Made


@dataclass(frozen=True, slots=True)
class Working:
    """It is being made. `progress` is from 0 to 100 where the provider tells it."""

    handle: Handle
    progress: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One paid step of several is done: `submit` is to be called again, with this handle. `usage` is of that step."""

    handle: Handle
    usage: Usage


@dataclass(frozen=True, slots=True)
class Finished:
    """At least one file, the result itself first; `usage` of the whole job, its earlier stages not counted."""

    files: Sequence[Source]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider has ended it without a result.

    `rejected` is the client's to change (moderation, a picture that will not do), with a slug of ours in `code`;
    `unavailable` is the provider's fault. `usage` is what it charges us all the same, None if that is nothing.
    """

    kind: Literal["rejected", "unavailable"]
    code: str | None = None
    usage: Usage | None = None


State = Working | Stage | Finished | Failed
RequestT = TypeVar("RequestT", contravariant=True)


class JobAdapter(Protocol[RequestT]):
    """All raise UpstreamError. One that `submit` raises says that the provider has not taken the job on, or, where it
    is of kind timeout or malformed, or of kind connect and `sent`, that it may have."""

    @property
    def idempotent(self) -> bool:
        """Whether several calls of `submit` with one reference make one job, for a day at least."""
        ...

    def check(self, upstream: Upstream, request: RequestT) -> None:
        """Raises UpstreamError of kind rejected for what this wire or model cannot do. Pure."""
        ...

    async def submit(self, upstream: Upstream, request: RequestT, reference: str, stage: Handle | None) -> State:
        """Have it made. `reference` is our id of the job (and of the stage); `stage` the handle of the one before."""
        ...

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        """How it goes. A job that the provider does not know (any more) is an UpstreamError with status 404."""
        ...

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        """Have it stopped, where the provider can do that; elsewhere nothing happens."""
        ...
