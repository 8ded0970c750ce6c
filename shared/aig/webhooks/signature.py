"""`x-aig-signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA-256 over `<t>.<raw body>`, once for each live secret. Pure.

The scheme is the one that Stripe's libraries sign and verify, too. Other schemes than v1 may stand beside it some day:
a verifier passes them over.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

HEADER = "x-aig-signature"
TOLERANCE_S = 300
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)


def _digest(body: bytes, at: str, secret: str) -> str:
    return hmac.digest(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hex()


def sign(body: bytes, at: int, secrets: Sequence[str]) -> str:
    """The header's value for an attempt at this time, in unix seconds."""
    return ",".join([f"t={at}", *(f"v1={_digest(body, str(at), secret)}" for secret in secrets)])


def verifies(header: str, body: bytes, secrets: Sequence[str], now: float, tolerance_s: int = TOLERANCE_S) -> bool:
    """Whether one of the secrets signed these bytes, not longer ago, nor further ahead, than the tolerance.

    All pairs of a secret and a signature are compared, each in constant time, whichever is right.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]) or abs(now - int(times[0])) > tolerance_s:
        return False
    claimed = [value.encode() for name, _, value in parts if name == "v1"]
    right = [_digest(body, times[0], secret).encode() for secret in secrets]
    return sum(hmac.compare_digest(one, other) for one in claimed for other in right) > 0
