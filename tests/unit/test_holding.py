"""What is set aside for a call: enough for whichever candidate serves, less where the wallet has less, or a reason."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import pytest

from aig.call import Gateway
from aig.catalog.model import IMAGE_TOKENS
from aig.catalog.routing import Candidate
from aig.errors import AIGError, BudgetExceeded, RateLimited
from aig.events import Event
from aig.holding import DEFAULT_MAX_OUTPUT, HOLD_TTL_S, IN_FLIGHT_RETRY_AFTER_S, take_hold
from aig.keys import Caller
from aig.modalities.demand import Demand
from aig.money.hold import Hold
from aig.money.ledger import KeySpend, Wallet
from aig.money.pricing import Prices
from aig.money.units import Nano, Pico
from aig.ports import HoldRefused, Limit, StoreBusy
from aig.thresholds import Marker
from tests.unit.calls import CALLER, PRICES, Scene, candidate

DEMAND = Demand(("v/m",), frozenset({"chat"}), 1000, 600)
WHOLE = (1000 * 1_000 + 600 * 2_000) * 105 // 100
CAPPED = replace(CALLER, capped=True)


class Wallets:
    """One wallet and one key. `refuses` says of each try in turn which limits it breaks; then all are granted."""

    def __init__(self, available: int = 10**9, held: int = 0, spend: KeySpend | None = None) -> None:
        self.state = Wallet(Nano(available), Nano(held))
        self.spend = spend or KeySpend(Nano(0))
        self.refuses: list[Collection[Limit]] = []
        self.tried: list[Hold] = []
        self.told: list[Event] = []
        self.tells: Exception | None = None

    async def take(self, hold: Hold, caller: Caller) -> None:
        self.tried.append(hold)
        if self.refuses:
            raise HoldRefused(self.refuses.pop(0))

    async def wallet(self, account_id: str) -> Wallet:
        return self.state

    async def tell(self, marker: Marker, wallet: Wallet, event: Event) -> bool:
        assert (marker, wallet) == ("exhausted", self.state)
        self.told.append(event)
        if self.tells:
            raise self.tells
        return True

    async def key_spend(self, account_id: str, key_id: str) -> KeySpend:
        return self.spend


async def take(
    wallets: Wallets, *candidates: Candidate, demand: Demand = DEMAND, caller: Caller = CALLER
) -> tuple[Hold, int]:
    return await take_hold(gateway_of(wallets), caller, candidates or (candidate("a"),), demand)


def gateway_of(wallets: Wallets) -> Gateway:
    return replace(Scene().gateway, wallets=cast("Any", wallets))


def dearer(made: Candidate) -> Candidate:
    """The same at ten times the price."""
    rates = {unit: Pico(price * 10) for unit, price in PRICES.rates.items()}
    return Candidate(made.model, replace(made.offer, prices=Prices(rates)))


async def test_a_hold_is_the_worst_case_and_the_snapshot_of_all_candidates() -> None:
    wallets, cheap, dear = Wallets(), candidate("a"), dearer(candidate("b"))
    hold, output = await take(wallets, cheap, dear)
    assert (hold.amount, output) == (10 * WHOLE, 600)
    assert hold.prices == {"a/v/m": cheap.offer.prices, "b/v/m": dear.offer.prices}
    assert (hold.model, hold.account_id, hold.key_id, hold.capped) == ("v/m", "acct_1", "key_1", False)
    assert hold.expires_at == hold.created_at + HOLD_TTL_S
    assert wallets.tried == [hold]


@pytest.mark.parametrize(("most", "tokens"), [(1000, 1000), (10**6, DEFAULT_MAX_OUTPUT)])
async def test_who_names_no_length_has_the_models_or_ours(most: int, tokens: int) -> None:
    _, output = await take(Wallets(), candidate("a", max_output=most), demand=replace(DEMAND, output_tokens=None))
    assert output == tokens


async def test_a_prompt_is_no_longer_than_the_context() -> None:
    hold, _ = await take(Wallets(), demand=replace(DEMAND, input_tokens=10**9))
    assert hold.amount == (100_000 * 1_000 + 600 * 2_000) * 105 // 100


async def test_nor_than_its_provider_takes_and_the_answer_no_longer() -> None:
    made = candidate("a")
    less = Candidate(made.model, replace(made.offer, context=5_000, max_output=200))
    hold, _ = await take(Wallets(), less, demand=replace(DEMAND, input_tokens=10**9))
    assert hold.amount == (5_000 * 1_000 + 200 * 2_000) * 105 // 100


async def test_of_many_inputs_each_has_a_context_of_its_own() -> None:
    many = replace(DEMAND, input_tokens=10**9, inputs=3, output_tokens=0)
    hold, output = await take(Wallets(), demand=many)
    assert (hold.amount, output) == (300_000 * 1_000 * 105 // 100, 0)


async def test_a_picture_is_as_many_tokens_as_the_model_makes_of_it() -> None:
    made = candidate("a")
    fine = replace(made, model=replace(made.model, image_tokens=40_000))
    for one, tokens in ((made, 2 * IMAGE_TOKENS), (fine, 80_000)):
        hold, _ = await take(Wallets(), one, demand=replace(DEMAND, images=2))
        assert hold.amount == ((1000 + tokens) * 1_000 + 600 * 2_000) * 105 // 100


async def test_every_sample_is_paid_for() -> None:
    hold, _ = await take(Wallets(), demand=replace(DEMAND, samples=4))
    assert hold.amount == (1000 * 1_000 + 4 * 600 * 2_000) * 105 // 100


async def test_what_the_wallet_still_covers_is_taken_instead() -> None:
    room = (1000 * 1_000 + 300 * 2_000) * 105 // 100
    wallets = Wallets(room)
    wallets.refuses = [{"balance"}]
    hold, output = await take(wallets)
    assert (hold.amount, output) == (room, 300)
    assert [tried.amount for tried in wallets.tried] == [WHOLE, room]


async def test_a_cap_binds_as_the_wallet_does() -> None:
    room = (1000 * 1_000 + 300 * 2_000) * 105 // 100
    wallets = Wallets(10**9, spend=KeySpend(Nano(0), Nano(room), Nano(0)))
    wallets.refuses = [{"cap"}]
    hold, output = await take(wallets, caller=CAPPED)
    assert (hold.amount, output, hold.capped) == (room, 300, True)


@pytest.mark.parametrize(
    ("wallets", "refused", "caller", "code"),
    [
        (Wallets(1000), {"balance"}, CALLER, "insufficient_balance"),
        (Wallets(1000, held=WHOLE), {"balance"}, CALLER, "in_flight_holds"),
        (Wallets(10**9, spend=KeySpend(Nano(0), Nano(1000), Nano(0))), {"cap"}, CAPPED, "spend_cap_reached"),
        (Wallets(10**9, spend=KeySpend(Nano(0), Nano(1000), Nano(WHOLE))), {"cap"}, CAPPED, "in_flight_holds"),
        (Wallets(10**9, spend=KeySpend(Nano(0), Nano(1000), None)), {"cap"}, CAPPED, "spend_cap_reached"),
        (Wallets(1000), {"balance"}, CAPPED, "insufficient_balance"),  # whose cap was lifted since
        # Both bind: what is in flight of the wallet would not help a key whose cap is used up.
        (Wallets(1000, WHOLE, KeySpend(Nano(9), Nano(9), Nano(0))), {"balance", "cap"}, CAPPED, "spend_cap_reached"),
    ],
)
async def test_why_not(wallets: Wallets, refused: set[Limit], caller: Caller, code: str) -> None:
    wallets.refuses = [refused]
    with pytest.raises(BudgetExceeded) as raised:
        await take(wallets, caller=caller)
    assert raised.value.code == code
    assert [event.type for event in wallets.told] == ["balance.exhausted"] * (code == "insufficient_balance")
    assert raised.value.retry_after == (IN_FLIGHT_RETRY_AFTER_S if code == "in_flight_holds" else None)
    assert len(wallets.tried) == 1


async def test_others_were_faster() -> None:
    wallets = Wallets(WHOLE)
    wallets.refuses = [{"balance"}, {"balance"}]
    with pytest.raises(BudgetExceeded) as raised:
        await take(wallets)
    assert raised.value.code == "in_flight_holds"


@pytest.mark.parametrize("tries", [[{"rate"}], [{"rate", "balance"}], [{"balance"}, {"rate"}]])
async def test_too_many_in_this_minute(tries: list[Collection[Limit]]) -> None:
    wallets = Wallets()
    wallets.refuses = list(tries)
    with pytest.raises(AIGError) as raised:
        await take(wallets)
    assert isinstance(raised.value, RateLimited)
    assert raised.value.retry_after is not None
    assert 1 <= raised.value.retry_after <= 60


class TestTellingOfIt:
    """`balance.exhausted`, from the calls that an empty wallet refuses."""

    async def refuse(self, gateway: Gateway, wallets: Wallets) -> AIGError:
        wallets.refuses = [{"balance"}]
        with pytest.raises(BudgetExceeded) as raised:
            await take_hold(gateway, CALLER, (candidate("a"),), DEMAND)
        return raised.value

    async def test_a_flood_of_refusals_tells_once(self) -> None:
        wallets = Wallets(1000)
        gateway = gateway_of(wallets)
        for _ in range(5):
            assert (await self.refuse(gateway, wallets)).code == "insufficient_balance"
        (event,) = wallets.told
        assert (event.account_id, event.data["balance"]) == ("acct_1", "0.000001")

    async def test_money_that_came_in_since_makes_it_news_again(self) -> None:
        wallets = Wallets(1000)
        gateway = gateway_of(wallets)
        await self.refuse(gateway, wallets)
        wallets.state = replace(wallets.state, era=1)
        await self.refuse(gateway, wallets)
        assert len(wallets.told) == 2

    async def test_who_has_been_told_by_another_environment_is_not_told(self) -> None:
        wallets = Wallets(1000)
        wallets.state = replace(wallets.state, exhausted=True)
        await self.refuse(gateway_of(wallets), wallets)
        assert wallets.told == []

    @pytest.mark.parametrize("error", [StoreBusy("busy"), RuntimeError()])
    async def test_the_answer_is_the_same_when_it_cannot_be_written(self, error: Exception) -> None:
        wallets = Wallets(1000)
        wallets.tells = error
        scene = Scene()
        gateway = replace(scene.gateway, wallets=cast("Any", wallets))
        for _ in range(3):
            assert (await self.refuse(gateway, wallets)).code == "insufficient_balance"
        assert scene.telemetry.alarms == ["EventNotWritten"]
        assert len(wallets.told) == 1
