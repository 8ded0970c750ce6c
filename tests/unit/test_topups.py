"""What a store that is not as it was does to top-ups. The rest is told in tests/integration/test_top_ups.py."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from typing_extensions import override

from aig import topups
from aig.errors import Overloaded, UpstreamError, UpstreamTimeout
from aig.money.ledger import Credit, Refund, Wallet
from aig.money.units import Nano
from aig.payments import Access, Checkout, News, Pages, Phase, TopUp
from aig.ports import StoreBusy
from aig.topups import RACES, TopUpPorts
from tests.unit.calls import Telemetry
from tests.unit.clock import FixedClock

NOW = 1_795_305_600
PENDING = TopUp("topup_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "p", Nano(25 * 10**9), NOW)
PAID = replace(PENDING, phase="paid", session="cs_1", credit_id="topup_1")
NEWS = News("paid", NOW, PENDING.amount, "pi_1", "cs_1", PENDING.account_id, PENDING.id)


class Store:
    """One top-up and one wallet. Whoever takes back loses the race as often as `races` says."""

    def __init__(self, top_up: TopUp, races: int = 0) -> None:
        self.top_up: TopUp | None = top_up
        self.races = races
        self.booked: list[Refund | None] = []

    async def begin(self, top_up: TopUp) -> TopUp:
        return self.top_up or top_up

    async def get(self, account_id: str, top_up_id: str) -> TopUp | None:
        return self.top_up

    async def opened(self, top_up: TopUp, checkout: Checkout) -> None:
        self.top_up = replace(top_up, session=checkout.session, checkout_url=checkout.url)

    async def move(self, top_up: TopUp, phase: Phase, before: Sequence[Phase]) -> bool:
        return False

    async def pay(self, top_up: TopUp, credit: Credit) -> bool:
        self.top_up = PAID
        return False  # another event was faster

    async def paid_with(self, provider: str, payment: str) -> tuple[str, str] | None:
        return None

    async def take_back(self, before: TopUp, after: TopUp, refund: Refund | None) -> bool:
        if self.races:
            self.races -= 1
            return False
        self.booked.append(refund)
        return True

    async def wallet(self, account_id: str) -> Wallet:
        return Wallet(Nano(10**12), Nano(0))

    async def look(self, account_id: str) -> Wallet:
        return await self.wallet(account_id)


class Silent:
    """A provider that says nothing."""

    def __init__(self) -> None:
        self.asked = 0

    async def checkout(self, access: Access, top_up: TopUp, pages: Pages) -> Checkout:
        self.asked += 1
        raise UpstreamError("timeout")


def ports(store: Store, telemetry: Telemetry) -> TopUpPorts:
    return TopUpPorts(store, cast("Any", store), cast("Any", None), telemetry, FixedClock(NOW))


async def book(store: Store, news: News) -> list[str]:
    """The alarms that it raised."""
    telemetry = Telemetry()
    await topups.book(ports(store, telemetry), "p", news)
    return telemetry.alarms


async def test_who_loses_the_race_for_a_credit_has_nothing_to_say() -> None:
    assert await book(Store(PENDING), NEWS) == []


@pytest.mark.parametrize("kind", ["refunded", "disputed"])
async def test_who_loses_a_race_looks_again(kind: Any) -> None:
    store = Store(PAID, races=RACES - 1)
    await book(store, replace(NEWS, kind=kind))
    (refund,) = store.booked
    assert refund is not None
    assert (refund.amount, refund.uncovered) == (PAID.amount, 0)


async def test_and_in_the_end_lets_the_provider_send_it_again() -> None:
    store = Store(PAID, races=RACES)
    with pytest.raises(StoreBusy):
        await book(store, replace(NEWS, kind="refunded"))
    assert store.booked == []


async def test_a_dispute_waits_for_calls_in_flight_too() -> None:
    class InFlight(Store):
        @override
        async def wallet(self, account_id: str) -> Wallet:
            return Wallet(Nano(10**9), Nano(1))

    store = InFlight(PAID)
    with pytest.raises(Overloaded):
        await book(store, replace(NEWS, kind="disputed"))
    (refund,) = store.booked
    assert refund is not None
    assert (refund.amount, refund.uncovered) == (10**9, 0)


async def test_no_loss_is_booked_for_what_a_look_does_not_see() -> None:
    class Moving(Store):
        @override
        async def look(self, account_id: str) -> Wallet:
            return Wallet(Nano(10**9), Nano(0))

    store = Moving(PAID)
    assert await book(store, replace(NEWS, kind="refunded")) == []
    (refund,) = store.booked
    assert refund is not None
    assert (refund.amount, refund.uncovered) == (PAID.amount, 0)


async def test_a_top_up_of_another_provider_is_unknown_to_this_one() -> None:
    assert await book(Store(replace(PENDING, provider="q")), NEWS) == ["PaymentNeedsAttention"]


async def test_a_page_that_is_there_is_not_asked_for_again() -> None:
    opened, silent = replace(PENDING, session="cs_1", checkout_url="https://example.com/"), Silent()
    reach, pages = Access("https://example.com", "key"), Pages("https://example.com/")
    begun = await topups.begin(ports(Store(opened), Telemetry()), cast("Any", silent), reach, PENDING, pages)
    assert (begun, silent.asked) == (opened, 0)
    with pytest.raises(UpstreamTimeout):
        await topups.begin(ports(Store(PENDING), Telemetry()), cast("Any", silent), reach, PENDING, pages)
