"""Links to files of ours that need no key: signed, for a file, until a time. Pure.

A presigned URL of S3 dies with the session of the role that signed it, hours later; these last as long as they say.
They redirect to such a URL of a few minutes.
"""

import hashlib
import hmac
import re

LONGEST_S = 7 * 24 * 3600
_KEY_ID_LENGTH = 8
_PATH = re.compile(r"[A-Za-z0-9_./-]{1,300}", re.ASCII)


def link_key(pepper: str) -> bytes:
    """The key that links are signed with, of the deployment's one secret."""
    return hmac.digest(pepper.encode(), b"file links", hashlib.sha256)


def key_id(key: bytes) -> str:
    """Which key a link was signed with; it says nothing of the key."""
    return hashlib.sha256(b"key id" + key).hexdigest()[:_KEY_ID_LENGTH]


def _signature(path: str, expires_at: int, key: bytes) -> str:
    return hmac.digest(key, f"{path}\n{expires_at}".encode(), hashlib.sha256).hex()


def signed_query(path: str, expires_at: int, key: bytes) -> str:
    """The query that opens `path` until a time in unix seconds."""
    return f"exp={expires_at}&kid={key_id(key)}&sig={_signature(path, expires_at, key)}"


def opens(path: str, exp: str, kid: str, sig: str, key: bytes, now: float) -> bool:
    """Whether a link's query opens `path` at this time."""
    if not _PATH.fullmatch(path) or not re.fullmatch(r"[0-9]{1,12}", exp) or kid != key_id(key):
        return False
    in_time = now < int(exp) <= now + LONGEST_S
    return in_time and hmac.compare_digest(sig.encode(), _signature(path, int(exp), key).encode())
