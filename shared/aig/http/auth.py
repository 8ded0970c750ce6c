"""Who a request is from: one Bearer key, looked up by its public id, compared in constant time."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from aig import keys
from aig.clock import Clock
from aig.errors import Forbidden, InternalError, Unauthenticated
from aig.keys import Caller, Scope
from aig.ports import Keys, Secrets

CACHED_S = 30.0
CACHED_KEYS = 1024
_BEARER = re.compile(r"(?i:bearer) ([\x21-\x7e]{1,256})")


class Authenticator:
    """Answers of the key store are kept for 30 s: that long a revoked key may live on in one environment."""

    def __init__(self, store: Keys, secrets: Secrets, clock: Clock) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()  # by the digest of the whole key

    def __call__(self, scope: Scope | None = None) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency that lets callers with this scope pass, or every caller."""

        async def authenticate(request: Request) -> Caller:
            caller = await self._caller(request)
            if scope is not None and scope not in caller.scopes:
                raise Forbidden(f"This key lacks the scope {scope}. Use a key that has it.")
            return caller

        return authenticate

    async def _caller(self, request: Request) -> Caller:
        sent = request.headers.getlist("authorization")
        match = _BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
        secret = keys.parse(match[1]) if match else None
        if secret is None:
            raise _refused()
        pepper = await self._secrets.get("pepper")
        if pepper is None:
            raise InternalError("The gateway has no key pepper. The operator has to set it.", code="not_configured")
        caller = await self._find(secret.public_id, keys.digest(secret, pepper.encode()))
        if caller is None or not caller.is_current(self._clock.now()):
            raise _refused()
        return caller

    async def _find(self, public_id: str, digest: bytes) -> Caller | None:
        """An unknown key and one whose secret is wrong cost the same: one digest, one look into the store."""
        now = self._clock.monotonic()
        cached = self._cache.get(digest)
        if cached is not None and now - cached[0] < CACHED_S:
            return cached[1]
        credential = await self._store.find(public_id)
        good = keys.opens(digest, credential)
        caller = await self._store.caller(credential) if good and credential is not None else None
        self._cache.pop(digest, None)
        if caller is not None:
            self._cache[digest] = (now, caller)
            if len(self._cache) > CACHED_KEYS:
                self._cache.popitem(last=False)
        return caller


def _refused() -> Unauthenticated:
    return Unauthenticated("The API key is missing or not valid. Send it as `Authorization: Bearer sk-aig-...`.")
