"""Links to files of ours that need no key: signed, for a file, until a time. Pure.

A presigned URL of S3 dies with the session of the role that signed it, hours later; these last as long as they say.
They redirect to such a URL of a few minutes.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

LONGEST_S = 7 * 24 * 3600
# Functions read secrets every five minutes: until all of them know another key, none signs with it.
SWITCH_S = 10 * 60
_KEY_ID_LENGTH = 8
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_./-]{1,300}", re.ASCII)


def link_key(pepper: str) -> bytes:
    """The key that links are signed with, of the deployment's one secret."""
    return hmac.digest(pepper.encode(), b"file links", hashlib.sha256)


def keys_in_use(current: str, before: str | None, used_from: str | None, now: float) -> Sequence[bytes]:
    """The keys that open links, of the entries of the secret; the first of them signs. Raises ValueError for no key.

    `current` and `before` are 64 hexadecimal digits; `used_from` is the time from which on `current` signs, in unix
    seconds.
    """
    keys = [_key(each) for each in (current, before) if each]
    return keys[::-1] if used_from and now < int(used_from) else keys


def _key(text: str) -> bytes:
    if not _KEY.fullmatch(text):
        raise ValueError("a link key is 64 hexadecimal digits")
    return bytes.fromhex(text)


def key_id(key: bytes) -> str:
    """Which key a link was signed with; it says nothing of the key."""
    return hashlib.sha256(b"key id" + key).hexdigest()[:_KEY_ID_LENGTH]


def _signature(path: str, expires_at: int, key: bytes) -> str:
    return hmac.digest(key, f"{path}\n{expires_at}".encode(), hashlib.sha256).hex()


def result_path(account_id: str, job_id: str, name: str) -> str:
    """What the link to a job's file is signed for."""
    return f"{account_id}/{job_id}/{name}"


def signed_query(path: str, expires_at: int, key: bytes) -> str:
    """The query that opens `path` until a time in unix seconds."""
    return f"exp={expires_at}&kid={key_id(key)}&sig={_signature(path, expires_at, key)}"


def opens(path: str, exp: str, kid: str, sig: str, keys: Sequence[bytes], now: float) -> bool:
    """Whether a link's query opens `path` at this time, by the one of the keys that it names."""
    key = next((each for each in keys if key_id(each) == kid), None)
    if key is None or not _PATH.fullmatch(path) or not re.fullmatch(r"[1-9][0-9]{0,11}", exp):
        return False
    in_time = now < int(exp) <= now + LONGEST_S
    return in_time and hmac.compare_digest(sig.encode(), _signature(path, int(exp), key).encode())
