"""The cache in front of the metered call: an answer that is there is given again, one that is being made is waited for.

Of equal requests one makes the answer. In one process the others wait for its flight; those of other processes wait for
a lease in the store, which runs out when its owner dies. Who has waited for WAIT_S, for an answer that may not be given
again, or for MOST_FAILURES that failed, asks for one of its own; before that, one of those who waited for a failed one
leads next. The cache fails no request: what the store cannot do, is done without it.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aig.cached import CachedAnswer, is_complete
from aig.cachekey import cache_key, tenant_secret, wanted
from aig.call import CacheTold, Gateway, OpenCall, Options, Receipt, record_of
from aig.catalog.routing import Candidate
from aig.flights import UNSHARED, Flight, Outcome
from aig.holding import pay_at_once, wanted_output
from aig.keys import Caller
from aig.modalities.cacheable import Cacheable
from aig.modalities.chat_assembly import whole
from aig.modalities.demand import Demand
from aig.modalities.usage import Usage
from aig.money import pricing
from aig.money.hold import Hold, settle
from aig.money.ledger import Debit
from aig.money.units import Nano, usd
from aig.ports import Cache
from aig.records import Record

FIND_S = 2.0  # to read what the store has, large answers too
KEEP_S = 5.0
LEASE_S = 60.0
WAIT_S = 120.0  # leaves more than half of ANSWER_S to who then has to ask a provider
MOST_FAILURES = 2  # a provider that hangs would otherwise let a crowd wait for its timeout one after the other
FIRST_POLL_S, LONGEST_POLL_S = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer that was there, and is paid for."""

    answer: CachedAnswer
    receipt: Receipt


class Turn:
    """One request's turn at the cache. Unless there is a hit, it makes the answer: then `keep` it, and always `leave`.

    `key` is None for a request that is not looked up: all of this does nothing then.
    """

    def __init__(self, gateway: Gateway, cache: Cache | None, key: str | None) -> None:
        self.hit: Hit | None = None
        self._gateway = gateway
        self._cache = cache
        self._key = key if cache is not None else None
        self._owner = secrets.token_hex(8)
        self._flight: Flight | None = None
        self._leased = False

    @property
    def told(self) -> CacheTold:
        """What the client is told of it."""
        if self._key is None:
            return "skip"
        return "hit" if self.hit else "miss"

    async def find(self) -> CachedAnswer | None:
        """The answer, now or once somebody else has made it; None if this request is to make it."""
        if self._key is None:
            return None
        clock, flights = self._gateway.clock, self._gateway.flights
        deadline, failures = clock.monotonic() + WAIT_S, 0
        while failures < MOST_FAILURES and (now := clock.monotonic()) < deadline:
            flight = flights.open(self._key, now)
            if flight is None:
                self._flight = flights.begin(self._key, deadline)
                return await self._lead(self._flight, deadline)
            outcome = await flight.wait(min(flight.until, deadline) - now)
            if isinstance(outcome, CachedAnswer):
                return outcome
            if outcome is UNSHARED:
                return None
            failures += 1
        return None

    async def _lead(self, flight: Flight, deadline: float) -> CachedAnswer | None:
        try:
            answer = await self._find_in_store(deadline)
        except Exception as error:
            self._failed("find", error)
            answer = None
        if answer is not None:
            self._land(answer)
        else:
            flight.until = self._gateway.clock.monotonic() + LEASE_S
        return answer

    async def _find_in_store(self, deadline: float) -> CachedAnswer | None:
        """None with the lease, or without it when the time is up or too many have failed who had it."""
        assert self._cache is not None
        assert self._key is not None
        clock, wait, owners = self._gateway.clock, FIRST_POLL_S, set[str]()
        while True:
            async with asyncio.timeout(FIND_S):
                found = await self._cache.find(self._key)
                if isinstance(found, CachedAnswer):
                    return found
                now = clock.now()
                if found is None or found.until <= now:
                    self._leased = await self._cache.claim(self._key, self._owner, now + LEASE_S)
                else:
                    owners.add(found.owner)
            if self._leased or len(owners) > MOST_FAILURES or clock.monotonic() + wait >= deadline:
                return None
            await asyncio.sleep(wait / 2 + wait / 2 * secrets.randbelow(1000) / 1000)
            wait = min(2 * wait, LONGEST_POLL_S)

    async def renew(self) -> None:
        """While an answer is coming in: keeps the others waiting for it."""
        flight, now = self._flight, self._gateway.clock.monotonic()
        if flight is None or flight.until - now > LEASE_S / 2:
            return
        flight.until = now + LEASE_S
        if self._leased and self._cache is not None and self._key is not None:
            try:
                async with asyncio.timeout(FIND_S):
                    await self._cache.claim(self._key, self._owner, self._gateway.clock.now() + LEASE_S)
            except Exception as error:
                self._failed("renew", error)

    async def keep(self, call: OpenCall, candidate: Candidate, usage: Usage, pieces: Sequence[dict[str, Any]]) -> None:
        """Gives an answer that was delivered to those who wait for it, and to the store.

        Not one that ends in an error or does not end, nor one that is as short as the wallet, not as the request says;
        nor one that cost more than was held, so that a hit is a tenth of what was paid.
        """
        if self._cache is None or self._key is None:
            return
        price = pricing.charge(usage, call.hold.prices[candidate.key])
        short = call.max_output(candidate) < wanted_output(candidate, call.demand)
        if short or settle(call.hold, price).shortfall or not is_complete(pieces):
            self._land(UNSHARED)
            return
        offer = candidate.offer
        answer = CachedAnswer(candidate.model.slug, offer.provider.name, offer.model_id, usage, tuple(pieces))
        self._land(answer)
        try:
            async with asyncio.timeout(KEEP_S):
                await self._cache.store(self._key, answer)
            self._leased = False  # the answer has taken its place
        except Exception as error:
            self._failed("store", error)

    async def leave(self) -> None:
        """Lets the next one lead, if this one has not made the answer."""
        self._land(None)
        if not self._leased or self._cache is None or self._key is None:
            return
        self._leased = False
        try:
            async with asyncio.timeout(FIND_S):
                await self._cache.release(self._key, self._owner)
        except Exception as error:  # it runs out by itself
            self._failed("release", error)

    def _land(self, outcome: Outcome) -> None:
        flight, self._flight = self._flight, None
        if flight is not None and self._key is not None:
            self._gateway.flights.end(self._key, flight, outcome)

    def _failed(self, step: str, error: Exception) -> None:
        self._gateway.telemetry.alarm("CacheFailed", step=step, error=type(error).__name__)


async def take_turn(gateway: Gateway, caller: Caller, request: Cacheable, options: Options) -> Turn:
    """A turn with a hit that is paid for, or without one. Raises AIGError."""
    began_at = gateway.clock.monotonic()
    turn = Turn(gateway, gateway.cache, await _key(gateway, caller, request, options))
    try:
        answer = await turn.find()
    except BaseException:
        await turn.leave()
        raise
    if answer is not None:
        turn.hit = await _pay(gateway, caller, request.demand, options, answer, began_at)
    return turn


async def _key(gateway: Gateway, caller: Caller, request: Cacheable, options: Options) -> str | None:
    if gateway.cache is None or not wanted(request.cache_form, options.cache):
        return None
    pepper = await gateway.secrets.get("pepper")
    if pepper is None:
        return None
    secret = tenant_secret(pepper, caller.account_id)
    key = cache_key(secret, gateway.catalog, caller, request, options.routing)
    return None if key is None else f"{caller.account_id}#{key}"


async def _pay(
    gateway: Gateway, caller: Caller, demand: Demand, options: Options, answer: CachedAnswer, began_at: float
) -> Hit | None:
    """A tenth of what the answer costs at this moment. None if nobody sells it any more. Raises AIGError."""
    candidate = _server(gateway, answer)
    if candidate is None or not caller.may_use(answer.model):
        return None
    try:
        price = pricing.charge(answer.usage, candidate.offer.prices, cache_hit=True)
    except KeyError:
        return None

    request_id = options.request_id or gateway.ids.new("req")

    def rows(hold: Hold, charged: Nano) -> tuple[Debit, Record | None]:
        debit = Debit(
            id=gateway.ids.new("txn"),
            request_id=request_id,
            model=answer.model,
            provider=answer.provider,
            amount=charged,
            upstream_cost=Nano(0),
            usage=answer.usage,
            created_at=int(gateway.clock.now()),
            tag=options.tag or caller.default_tag,
            cache_hit=True,
        )
        duration_s = gateway.clock.monotonic() - began_at
        told = replace(receipt, cost=charged)
        return debit, record_of(options, caller, hold, duration_s, told, answer.usage, whole(answer.pieces))

    receipt = Receipt(answer.model, answer.provider, 0, price, "hit")
    charged = await pay_at_once(gateway, caller, candidate, demand, price, request_id, rows)
    gateway.telemetry.request(
        outcome="posted",
        trace_id=options.trace_id,
        request_id=request_id,
        account_id=caller.account_id,
        key_id=caller.key_id,
        model=answer.model,
        provider=answer.provider,
        attempts=0,
        cost=usd(charged),
        cache="hit",
    )
    return Hit(answer, replace(receipt, cost=charged, rate=gateway.rates.hit(caller.limits, gateway.clock.now())))


def _server(gateway: Gateway, answer: CachedAnswer) -> Candidate | None:
    """Who made the answer, as the catalog has it today."""
    model = gateway.catalog.models.get(answer.model)
    if model is None:
        return None
    by = (answer.provider, answer.model_id)
    now = gateway.clock.now()
    return next(
        (Candidate(model, offer.at(now)) for offer in model.offers if (offer.provider.name, offer.model_id) == by), None
    )
