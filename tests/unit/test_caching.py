"""A turn at the cache without a table: who makes the answer, who waits, and what is kept."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from typing_extensions import override

from aig.cached import CachedAnswer
from aig.caching import LEASE_S, WAIT_S, Turn, take_turn
from aig.call import Gateway, Options
from aig.catalog.model import Catalog
from aig.modalities import chat_body
from aig.modalities.usage import Usage
from aig.money.pricing import charge
from aig.money.units import Nano
from aig.ports import Lease
from tests.unit.calls import CALLER, PRICES, Scene, candidate

KEY = "acct_1#key"
USAGE = Usage({"input_tokens": 10})
WHOLE: list[dict[str, Any]] = [{"choices": [{"index": 0, "finish_reason": "stop"}]}]
BROKEN: list[dict[str, Any]] = [{"choices": [{"index": 0, "finish_reason": None}]}]
REQUEST = chat_body.parse({"model": "v/m", "messages": [{"role": "user", "content": "hello"}], "seed": 1})


class Store:
    """A cache of one key, which remembers what was done to it. `fails` names what it does not do."""

    def __init__(self, held: CachedAnswer | Lease | None = None, fails: str = "") -> None:
        self.held = held
        self.done: list[str] = []
        self._fails = fails

    def _do(self, what: str) -> None:
        self.done.append(what)
        if what == self._fails:
            raise OSError(what)

    async def find(self, key: str) -> CachedAnswer | Lease | None:
        self._do("find")
        return self.held

    async def claim(self, key: str, owner: str, until: float) -> bool:
        self._do("claim")
        self.held = Lease(owner, until)
        return True

    async def release(self, key: str, owner: str) -> None:
        self._do("release")
        self.held = None

    async def store(self, key: str, answer: CachedAnswer) -> None:
        self._do("store")
        self.held = answer


class Changing(Store):
    """Somebody else's lease at each look: the one before has failed."""

    @override
    async def find(self, key: str) -> CachedAnswer | Lease | None:
        self._do("find")
        return Lease(str(len(self.done)), 10.0**12)


class Pepper:
    def __init__(self, pepper: str | None = "pepper") -> None:
        self._pepper = pepper

    async def get(self, name: str) -> str | None:
        assert name == "pepper"
        return self._pepper


class Wallets:
    """Takes whatever is charged."""

    def __init__(self) -> None:
        self.charged: list[Any] = []

    async def charge(self, hold: Any, caller: Any, settlement: Any, debit: Any, record: Any) -> None:
        self.charged.append(debit)


def stage(store: Store, pepper: str | None = "pepper") -> tuple[Scene, Gateway]:
    scene, model = Scene(a=["yes"]), candidate("a").model
    gateway = replace(
        scene.gateway,
        cache=store,
        secrets=Pepper(pepper),
        wallets=cast("Any", Wallets()),
        catalog=Catalog({}, {model.slug: model}),
    )
    return scene, gateway


def answer_by(provider: str, units: Any) -> CachedAnswer:
    return CachedAnswer("v/m", provider, f"{provider}-id", Usage(units), tuple(WHOLE))


async def test_an_answer_is_kept_and_the_lease_goes_with_it() -> None:
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    assert await turn.find() is None
    call = scene.call()
    await turn.keep(call, call.candidates[0], USAGE, WHOLE)
    await turn.leave()
    assert store.done == ["find", "claim", "store"]
    assert store.held == CachedAnswer("v/m", "a", "a-id", USAGE, tuple(WHOLE))
    assert await Turn(gateway, store, KEY).find() == store.held


@pytest.mark.parametrize("pieces", [BROKEN, [{"choices": [{"index": 0, "finish_reason": "error"}]}]])
async def test_an_answer_that_is_not_whole_is_not_kept_and_nobody_waits_for_another_like_it(pieces: Any) -> None:
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    await turn.find()
    waiting = [asyncio.create_task(Turn(gateway, store, KEY).find()) for _ in range(3)]
    await asyncio.sleep(0)
    call = scene.call()
    await turn.keep(call, call.candidates[0], USAGE, pieces)
    assert await asyncio.gather(*waiting) == [None] * 3
    await turn.leave()
    assert store.done == ["find", "claim", "release"]  # who waited goes on alone, without a look of its own


async def test_so_it_is_with_one_that_is_short_of_money() -> None:
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    await turn.find()
    call = scene.call(output_tokens=500)
    poor = replace(call, output_tokens=499)
    await turn.keep(poor, call.candidates[0], USAGE, WHOLE)
    assert "store" not in store.done


async def test_so_it_is_with_one_that_cost_more_than_was_held() -> None:
    """Its hit would be a tenth of its price, which is more than a tenth of what was paid for it."""
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    await turn.find()
    waiting = asyncio.create_task(Turn(gateway, store, KEY).find())
    await asyncio.sleep(0)
    call = scene.call()
    price = charge(USAGE, PRICES)
    await turn.keep(replace(call, hold=replace(call.hold, amount=Nano(price - 1))), call.candidates[0], USAGE, WHOLE)
    assert await waiting is None
    assert "store" not in store.done


async def test_one_that_cost_all_that_was_held_is_kept() -> None:
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    await turn.find()
    call = scene.call()
    exact = replace(call, hold=replace(call.hold, amount=charge(USAGE, PRICES)))
    await turn.keep(exact, call.candidates[0], USAGE, WHOLE)
    assert "store" in store.done


async def test_who_has_waited_for_a_lease_long_enough_makes_an_answer_of_its_own() -> None:
    scene, gateway = stage(store := Store())
    store.held = Lease("other", scene.clock.now() + 10**6)
    turn = Turn(gateway, store, KEY)
    looking = asyncio.create_task(turn.find())
    await asyncio.sleep(0)
    scene.clock.time += WAIT_S
    async with asyncio.timeout(10):
        assert await looking is None
    assert "claim" not in store.done
    call = scene.call()
    await turn.keep(call, call.candidates[0], USAGE, WHOLE)
    assert isinstance(store.held, CachedAnswer)


async def test_a_crowd_waits_for_two_that_fail_and_then_each_asks_for_itself() -> None:
    _, gateway = stage(store := Store())
    turns = [Turn(gateway, store, KEY) for _ in range(6)]
    looking = [asyncio.create_task(turn.find()) for turn in turns]
    asking = []
    for _ in range(3):
        for _ in range(5):
            await asyncio.sleep(0)
        found = [turn for turn, look in zip(turns, looking, strict=True) if look.done()]
        asking.append(len(found))
        for turn in found:
            await turn.leave()
    assert [look.result() for look in looking] == [None] * 6
    assert asking == [1, 2, 6]
    assert store.done == ["find", "claim", "release"] * 2


async def test_so_it_is_with_the_leases_of_other_environments() -> None:
    scene, gateway = stage(store := Changing())
    async with asyncio.timeout(10):
        assert await Turn(gateway, store, KEY).find() is None
    assert store.done == ["find"] * 3
    assert scene.telemetry.alarms == []


async def test_who_is_too_late_to_wait_does_not() -> None:
    scene, gateway = stage(store := Store())
    turn, late = Turn(gateway, store, KEY), Turn(gateway, store, KEY)
    await turn.find()
    waiting = asyncio.create_task(late.find())
    await asyncio.sleep(0)
    scene.clock.time += WAIT_S
    await turn.leave()
    assert await waiting is None
    assert store.done == ["find", "claim", "release"]


async def test_the_lease_is_renewed_when_half_of_it_is_over() -> None:
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    await turn.find()
    scene.clock.time += LEASE_S / 2 - 1
    await turn.renew()
    assert store.done == ["find", "claim"]
    scene.clock.time += 1
    await turn.renew()
    await turn.renew()
    assert store.done == ["find", "claim", "claim"]
    assert isinstance(store.held, Lease)
    assert store.held.until == scene.clock.now() + LEASE_S


@pytest.mark.parametrize("fails", ["find", "claim", "store", "release"])
async def test_a_store_that_fails_is_an_alarm_and_no_more(fails: str) -> None:
    scene, gateway = stage(store := Store(fails=fails))
    turn = Turn(gateway, store, KEY)
    assert await turn.find() is None
    scene.clock.time += LEASE_S
    await turn.renew()
    call = scene.call()
    await turn.keep(call, call.candidates[0], USAGE, BROKEN if fails == "release" else WHOLE)
    await turn.leave()
    assert set(scene.telemetry.alarms) == {"CacheFailed"}
    assert gateway.flights.open(KEY, scene.clock.monotonic()) is None


async def test_a_lease_that_cannot_be_renewed_is_an_alarm() -> None:
    scene, gateway = stage(store := Store())
    turn = Turn(gateway, store, KEY)
    await turn.find()
    store._fails = "claim"
    scene.clock.time += LEASE_S
    await turn.renew()
    assert scene.telemetry.alarms == ["CacheFailed"]


@pytest.mark.parametrize(("cache", "pepper"), [("skip", "pepper"), ("auto", None)])
async def test_without_a_key_nothing_is_looked_up(cache: Any, pepper: str | None) -> None:
    scene, gateway = stage(store := Store(answer_by("a", {})), pepper)
    turn = await take_turn(gateway, CALLER, REQUEST, Options("trace", cache=cache))
    call = scene.call()
    await turn.renew()
    await turn.keep(call, call.candidates[0], USAGE, WHOLE)
    await turn.leave()
    assert (turn.told, turn.hit, store.done) == ("skip", None, [])


async def test_without_a_cache_nothing_is_looked_up() -> None:
    _, gateway = stage(Store())
    turn = await take_turn(replace(gateway, cache=None), CALLER, REQUEST, Options("trace"))
    assert turn.told == "skip"


async def test_a_hit_is_charged_by_the_price_of_who_made_it() -> None:
    scene, gateway = stage(Store(answer_by("a", {"input_tokens": 1000})))
    turn = await take_turn(gateway, CALLER, REQUEST, Options("trace", tag="t"))
    assert turn.hit is not None
    assert (turn.told, turn.hit.receipt.cost) == ("hit", 105_000)
    (debit,) = cast("Wallets", gateway.wallets).charged
    assert (debit.amount, debit.upstream_cost, debit.cache_hit, debit.tag) == (105_000, 0, True, "t")
    (step,) = scene.telemetry.steps
    assert (step["outcome"], step["cache"], step["attempts"]) == ("posted", "hit", 0)


@pytest.mark.parametrize(
    "stored",
    [
        answer_by("gone", {}),
        replace(answer_by("a", {}), model_id="another"),
        replace(answer_by("a", {}), model="gone/model"),
        answer_by("a", {"pages": 1}),
    ],
)
async def test_what_nobody_sells_any_more_is_a_miss_that_costs_nothing(stored: CachedAnswer) -> None:
    scene, gateway = stage(store := Store(stored))
    turn = await take_turn(gateway, CALLER, REQUEST, Options("trace"))
    assert (turn.told, turn.hit) == ("miss", None)
    assert cast("Wallets", gateway.wallets).charged == []
    call = scene.call()
    await turn.keep(call, call.candidates[0], USAGE, WHOLE)
    assert store.held != stored
