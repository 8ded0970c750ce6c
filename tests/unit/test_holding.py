"""What is set aside for a call: enough for whichever candidate serves, less where the wallet has less, or a reason."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import pytest

from aig.call import Gateway
from aig.catalog.model import IMAGE_TOKENS, builtin
from aig.catalog.routing import Candidate
from aig.errors import AIGError, BudgetExceeded, RateLimited
from aig.events import Event
from aig.holding import DEFAULT_MAX_OUTPUT, HOLD_TTL_S, IN_FLIGHT_RETRY_AFTER_S, take_hold
from aig.keys import Caller
from aig.limits import FreeTier, Limits
from aig.modalities.demand import Demand
from aig.modalities.files import Document
from aig.modalities.ocr import OcrRequest
from aig.modalities.speak import SpeakRequest
from aig.modalities.usage import Usage
from aig.money.hold import Hold, Settlement, settle
from aig.money.ledger import Spend, Wallet
from aig.money.pricing import Prices, charge
from aig.money.units import Nano, Pico
from aig.ports import HoldRefused, Limit, StoreBusy
from aig.thresholds import Marker
from tests.unit.calls import CALLER, PRICES, Scene, candidate

DEMAND = Demand(("v/m",), frozenset({"chat"}), 1000, 600, may_be_short=True)
WHOLE = (1000 * 1_000 + 600 * 2_000) * 105 // 100
DAILY = Limits("key_1", cap=10 * WHOLE, reset="daily")
CAPPED = replace(CALLER, limits=(DAILY,))
OF_SUB = Caller(
    "sub_1", "key_1", "name", "hint", frozenset({"inference"}),
    limits=(Limits("key_1"), Limits("sub_1", cap=10 * WHOLE)), parent_id="acct_1",
)  # fmt: skip


class Wallets:
    """One wallet, and what owners have spent. `refuses` says of each try in turn which limits it breaks.

    Then all are granted. `limits` are what the store says they are now.
    """

    def __init__(self, available: int = 10**9, held: int = 0, **spends: tuple[int, int]) -> None:
        self.state = Wallet(Nano(available), Nano(held))
        self.spends = spends
        self.refuses: list[Collection[Limit]] = []
        self.tried: list[Hold] = []
        self.strict_reads = 0
        self.told: list[Event] = []
        self.tells: Exception | None = None
        self.now: tuple[Limits, ...] | None = None

    async def take(self, hold: Hold, caller: Caller, _: object = None) -> Hold:
        self.tried.append(hold)
        if self.refuses:
            raise HoldRefused(self.refuses.pop(0))
        return hold

    async def wallet(self, account_id: str) -> Wallet:
        assert account_id == "acct_1"
        self.strict_reads += 1
        return self.state

    async def look(self, account_id: str) -> Wallet:
        assert account_id == "acct_1"
        return self.state

    async def spend(self, account_id: str, limits: Limits, now: float) -> Spend:
        spent, held = self.spends.get(limits.owner, (0, 0))
        return Spend(Nano(spent), Nano(held), limits.cap)

    async def limits(self, caller: Caller) -> tuple[Limits, ...]:
        return caller.limits if self.now is None else self.now

    async def tell_spend_exceeded(self, account_id: str, counter: str, cap: int, event: Event) -> bool:
        return self._tell(event)

    async def tell(self, marker: Marker, wallet: Wallet, event: Event) -> bool:
        assert (marker, wallet) == ("exhausted", self.state)
        return self._tell(event)

    def _tell(self, event: Event) -> bool:
        self.told.append(event)
        if self.tells:
            raise self.tells
        return True


async def take(
    wallets: Wallets, *candidates: Candidate, demand: Demand = DEMAND, caller: Caller = CALLER, **more: Any
) -> tuple[Hold, int]:
    return await take_hold(gateway_of(wallets, **more), caller, candidates or (candidate("a"),), demand)


def gateway_of(wallets: Wallets, **more: Any) -> Gateway:
    return replace(Scene().gateway, wallets=cast("Any", wallets), keys=cast("Any", wallets), **more)


def dearer(made: Candidate) -> Candidate:
    """The same at ten times the price."""
    rates = {unit: Pico(price * 10) for unit, price in PRICES.rates.items()}
    return Candidate(made.model, replace(made.offer, prices=Prices(rates)))


async def test_a_hold_is_the_worst_case_and_the_snapshot_of_all_candidates() -> None:
    wallets, cheap, dear = Wallets(), candidate("a"), dearer(candidate("b"))
    hold, output = await take(wallets, cheap, dear)
    assert (hold.amount, output) == (10 * WHOLE, 600)
    assert hold.prices == {"a/v/m": cheap.offer.prices, "b/v/m": dear.offer.prices}
    assert (hold.model, hold.account_id, hold.key_id, hold.capped) == ("v/m", "acct_1", "key_1", ())
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


READERS = [
    candidate
    for model in builtin().models.values()
    for candidate in (Candidate(model, offer) for offer in model.offers)
    if {"ocr", "files"} <= model.capabilities and "input_tokens" in candidate.offer.prices.rates and not model.sandbox
]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.key)
async def test_a_document_to_be_read_is_as_long_as_the_models_context(reader: Candidate) -> None:
    """The pages of a PDF are no bound of the text that is in them."""
    request = OcrRequest((reader.model.slug,), Document(b"%PDF", "application/pdf", 1))
    hold, _ = await take(Wallets(), reader, demand=request.demand)
    full = Usage({"input_tokens": reader.context, "output_tokens": min(DEFAULT_MAX_OUTPUT, reader.max_output)})
    assert hold.amount >= charge(full, reader.offer.prices)


async def test_speech_with_instructions_is_as_long_as_the_model_can_make_it() -> None:
    model = builtin().models["openai/gpt-4o-mini-tts"]
    speaker = Candidate(model, model.offers[0])
    slow = SpeakRequest((model.slug,), "Hello.", instructions="Pause for a minute after each word.")
    hold, output = await take(Wallets(), speaker, demand=slow.demand)
    assert output == speaker.max_output
    spoken = Usage({"input_tokens": 16, "output_audio_tokens": speaker.max_output})
    assert hold.amount >= charge(spoken, speaker.offer.prices)
    plain, _ = await take(Wallets(), speaker, demand=replace(slow, instructions=None).demand)
    assert plain.amount < hold.amount


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


async def test_a_hold_names_the_counters_of_its_period() -> None:
    """Of all owners, for its charge; of those with a cap for itself too. The clock says 12 January 1970."""
    hold, _ = await take(Wallets(), caller=CAPPED)
    assert (hold.spends, hold.capped, hold.payer_id) == (("key_1#1970-01-12",), ("key_1#1970-01-12",), "acct_1")
    hold, _ = await take(Wallets(), caller=OF_SUB)
    assert (hold.spends, hold.capped) == (("key_1#all", "sub_1#all"), ("sub_1#all",))
    assert (hold.account_id, hold.payer_id) == ("sub_1", "acct_1")


@pytest.mark.parametrize(("caller", "refused"), [(CAPPED, "cap"), (OF_SUB, "sub_account_cap")])
async def test_a_cap_binds_as_the_wallet_does(caller: Caller, refused: Limit) -> None:
    room = (1000 * 1_000 + 300 * 2_000) * 105 // 100
    spent = {caller.limits[-1].owner: (10 * WHOLE - room - 5, 5)}
    wallets = Wallets(10**9, 0, **spent)
    wallets.refuses = [{refused}]
    hold, output = await take(wallets, caller=caller)
    assert (hold.amount, output, len(hold.capped)) == (room, 300, 1)
    assert wallets.strict_reads == 0  # which a busy wallet may not have, and a cap does not need


async def test_a_cap_that_was_raised_a_moment_ago_counts_at_once() -> None:
    wallets = Wallets(10**9, key_1=(10 * WHOLE, 0))
    wallets.refuses = [{"cap"}]
    wallets.now = (replace(DAILY, cap=11 * WHOLE),)
    hold, output = await take(wallets, caller=CAPPED)
    assert (hold.amount, output) == (WHOLE, 600)


@pytest.mark.parametrize(
    ("wallets", "refused", "caller", "code"),
    [
        (Wallets(1000), {"balance"}, CALLER, "insufficient_balance"),
        (Wallets(1000, held=WHOLE), {"balance"}, CALLER, "in_flight_holds"),
        (Wallets(10**9, key_1=(10 * WHOLE - 1000, 0)), {"cap"}, CAPPED, "spend_cap_reached"),
        (Wallets(10**9, key_1=(9 * WHOLE - 1000, WHOLE)), {"cap"}, CAPPED, "in_flight_holds"),
        (Wallets(10**9, sub_1=(10 * WHOLE, 0)), {"sub_account_cap"}, OF_SUB, "spend_cap_reached"),
        (Wallets(1000), {"balance"}, CAPPED, "insufficient_balance"),
        (Wallets(1000), {"balance"}, OF_SUB, "insufficient_balance"),
        # Both bind: what is in flight of the wallet would not help a key whose cap is used up.
        (Wallets(1000, WHOLE, key_1=(10 * WHOLE - 9, 0)), {"balance", "cap"}, CAPPED, "spend_cap_reached"),
    ],
)
async def test_why_not(wallets: Wallets, refused: set[Limit], caller: Caller, code: str) -> None:
    wallets.refuses = [refused]
    with pytest.raises(BudgetExceeded) as raised:
        await take(wallets, caller=caller)
    assert raised.value.code == code
    assert raised.value.retry_after == (IN_FLIGHT_RETRY_AFTER_S if code == "in_flight_holds" else None)
    assert len(wallets.tried) == 1
    spent = caller is OF_SUB and code == "spend_cap_reached"
    expected = ["subaccount.spend.exceeded"] * spent + ["balance.exhausted"] * (code == "insufficient_balance")
    assert [event.type for event in wallets.told] == expected


@pytest.mark.parametrize(("short", "told"), [(True, "a smaller max_tokens"), (False, "a smaller request")])
async def test_an_empty_wallet_says_what_would_help(short: bool, told: str) -> None:
    wallets = Wallets(1000)
    wallets.refuses = [{"balance"}]
    with pytest.raises(BudgetExceeded) as raised:
        await take(wallets, demand=replace(DEMAND, may_be_short=short))
    assert raised.value.message.endswith(f"or send {told}.")


async def test_a_sub_account_is_not_told_of_the_accounts_balance() -> None:
    wallets = Wallets(1000)
    wallets.refuses = [{"balance"}]
    with pytest.raises(BudgetExceeded, match="whoever gave you the key"):
        await take(wallets, caller=OF_SUB)


async def test_the_account_is_told_once_of_a_spent_cap_and_the_call_is_refused_whatever_comes_of_that() -> None:
    told = set[str]()
    for _ in range(2):
        wallets = Wallets(10**9, sub_1=(10 * WHOLE, 0))
        wallets.refuses = [{"sub_account_cap"}]
        with pytest.raises(BudgetExceeded):
            await take(wallets, caller=OF_SUB, told=told)
        expected = {"sub_account": "sub_1", "spend_cap_reset": "never", "resets_at": None}
        assert [event.data.items() >= expected.items() for event in wallets.told] == ([True] if _ == 0 else [])
    wallets = Wallets(10**9, sub_1=(10 * WHOLE, 0))
    wallets.refuses = [{"sub_account_cap"}]
    wallets.tells = StoreBusy("throttled")
    with pytest.raises(BudgetExceeded):
        await take(wallets, caller=OF_SUB)


class TestFreeTier:
    TIER = FreeTier("v/m", 1, until=2_000_000)

    async def test_it_holds_nothing_and_knows_no_caps(self) -> None:
        hold, output = await take(Wallets(0), caller=CAPPED, free_tier=self.TIER)
        assert (hold.free, hold.amount, hold.spends, hold.capped, output) == (True, 0, (), (), 600)
        assert settle(hold, Nano(77)) == Settlement(Nano(0), Nano(0), Nano(0))

    async def test_when_it_is_used_up_the_wallet_pays(self) -> None:
        wallets = Wallets()
        wallets.refuses = [{"free"}]
        hold, _ = await take(wallets, free_tier=self.TIER)
        assert (hold.free, hold.amount) == (False, WHOLE)

    async def test_used_up_and_no_money_is_a_rate_limit_until_midnight(self) -> None:
        told = set[str]()
        tries: list[list[Collection[Limit]]] = [[{"free"}, {"balance"}], [{"balance"}]]
        for refuses in tries:  # the second time it is remembered
            wallets = Wallets(0)
            wallets.refuses = refuses
            with pytest.raises(RateLimited) as raised:
                await take(wallets, free_tier=self.TIER, told=told)
            assert raised.value.code == "free_tier_exhausted"
            assert raised.value.retry_after == 12 * 24 * 3600 - 1_000_000
            assert wallets.refuses == []

    async def test_a_rate_is_a_rate(self) -> None:
        wallets = Wallets()
        wallets.refuses = [{"rate"}]
        with pytest.raises(RateLimited) as raised:
            await take(wallets, caller=replace(CALLER, limits=(Limits("key_1", rpm=7),)), free_tier=self.TIER)
        assert (raised.value.code, raised.value.rpm) == ("rate_limit_exceeded", 7)

    async def test_a_spent_cap_says_so(self) -> None:
        wallets = Wallets(10**9, key_1=(10 * WHOLE, 0))
        wallets.refuses = [{"free"}, {"cap"}]
        with pytest.raises(BudgetExceeded) as raised:
            await take(wallets, caller=CAPPED, free_tier=self.TIER)
        assert raised.value.code == "spend_cap_reached"


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
        assert scene.telemetry.alarms == ["NoticeFailed"]
        assert len(wallets.told) == 1
