"""`Idempotency-Key` on a POST: the same key and body get the same answer, and what they ask for is done once."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from aig import idempotency
from aig.clock import Clock
from aig.errors import InvalidRequest
from aig.http.json_answer import JsonAnswer
from aig.http.reference import header
from aig.idempotency import Answer, IdempotencyLog
from aig.ports import StoreBusy

PARAMETER = header(
    "Idempotency-Key",
    "The same key and body within 24 hours get the same answer, and nothing is done twice; another body gets 409.",
    {"type": "string", "maxLength": 255},
)

Body = Mapping[str, Any]


async def _as_it_is(body: Body) -> Body:
    return body


class Idempotent:
    """One way for every route that creates or charges."""

    def __init__(self, log: IdempotencyLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def once(
        self,
        request: Request,
        tenant: str,
        operation: str,
        body: Body,
        subject: str,
        work: Callable[[str], Awaitable[Body]],
        *,
        status: int = 200,
        reveal: Callable[[Body], Awaitable[Body]] = _as_it_is,
    ) -> Response:
        """The answer to a POST: `work` gets the id of what it is to make, at first `subject`; its result is the body.

        A request that is sent again after a crash or an error goes on with the id of the first: `work` must bear that.
        Its result is kept for a day. What must not lie in the table, such as a key that can be derived from the id,
        `reveal` adds to what is sent, the first time and each time after. Raises InvalidRequest, Conflict, StoreBusy,
        and what `work` raises.
        """
        sent = request.headers.getlist("idempotency-key")
        if not sent:
            return _answer(status, await reveal(await work(subject)))
        if len(sent) > 1:
            raise InvalidRequest("There is more than one Idempotency-Key. Send one.", param="Idempotency-Key")
        name, fingerprint = idempotency.name(operation, sent[0]), idempotency.fingerprint(body)
        claimed = await self._log.claim(tenant, name, fingerprint, subject, int(self._clock.now()))
        if isinstance(claimed, Answer):
            return _answer(claimed.status, await reveal(json.loads(claimed.body)), {"idempotent-replayed": "true"})
        try:
            made = await work(claimed.subject)
            answer = Answer(status, to_json(made).decode())
        except BaseException:
            await _quietly(self._log.release(claimed))
            raise
        await _quietly(self._log.finish(claimed, answer))
        return _answer(status, await reveal(made))


async def _quietly(work: Awaitable[None]) -> None:
    """What is done is done: a store that cannot note it leaves the claim to end by itself."""
    try:
        await work
    except StoreBusy:
        return


def _answer(status: int, shown: Body, headers: Mapping[str, str] | None = None) -> Response:
    response = JsonAnswer(shown, headers)
    response.status_code = status
    return response
