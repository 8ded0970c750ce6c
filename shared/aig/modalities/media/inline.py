"""Files inside of JSON: base64, alone or in a data: URL."""

import base64
import re

from aig.errors import InvalidRequest, RequestTooLarge

_BREAKS = re.compile(r"[ \t\r\n]+")
_DATA_URL = re.compile(r"data:[^,;]{0,100}(?:;[^,;]{1,100}){0,5};base64", re.IGNORECASE)


def from_base64(text: str, param: str, limit: int) -> bytes:
    """The bytes, `limit` of them at most. Raises InvalidRequest.

    The standard alphabet, with its padding. Lines may be broken, as the base64 command breaks them; the cap is on what
    is left, and on the whole at a line of one character each.
    """
    most = -(-limit // 3) * 4
    packed = _BREAKS.sub("", text) if len(text) <= 2 * most else text
    if len(packed) > most:
        raise _too_large(param, limit)
    try:
        if len(packed) % 4 or "=" in packed[:-2]:  # Python's decoder lets too much padding pass
            raise ValueError
        data = base64.b64decode(packed, validate=True)
    except ValueError:  # of base64, or of what is not even ASCII
        raise InvalidRequest(
            f"{param} is not valid base64. Use the standard alphabet (+ and /), with padding.",
            code="invalid_base64",
            param=param,
        ) from None
    if len(data) > limit:
        raise _too_large(param, limit)
    return data


def _too_large(param: str, limit: int) -> InvalidRequest:
    return RequestTooLarge(
        f"{param} is larger than {limit} bytes. Send less, or a URL.", code="request_too_large", param=param
    )


def from_data_url(url: str, param: str, limit: int) -> bytes:
    """The bytes of a data: URL in base64, whatever type it declares. Raises InvalidRequest."""
    head, comma, packed = url.partition(",")
    if not comma or not _DATA_URL.fullmatch(head):
        raise InvalidRequest(f"{param} must be data:…;base64,… or an https URL.", param=param)
    return from_base64(packed, param, limit)
