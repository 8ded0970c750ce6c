"""Top-ups: what may be asked for, and what becomes of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from aig.money.units import Nano, usd
from aig.payments import CENT, CHECKOUT_S, News, TopUp, amount, is_reference, with_return

USD = 10**9
TOP_UP = TopUp("topup_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "p", Nano(25 * USD), 1000)


@given(st.integers(500, 1_000_000))
def test_whole_cents_from_five_to_ten_thousand_dollars(cents: int) -> None:
    assert amount(usd(cents * CENT)) == cents * CENT


@given(st.integers(0, 499) | st.integers(1_000_001, 10**9))
def test_no_less_and_no_more(cents: int) -> None:
    with pytest.raises(InvalidRequest):
        amount(usd(cents * CENT))


@pytest.mark.parametrize(
    "text",
    ["4.99", "10000.01", "5.001", "5.0000000001", "-5.00", "+5.00", "1e3", "NaN", "Infinity", "", " 5", "5 ", "5,00",
     "5.", ".5", "0x10", "\u0665", "5_0", "$5", "9" * 30],
)  # fmt: skip
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        amount(text)
    assert refused.value.param == "amount"


def test_a_page_that_was_not_used_expires_and_a_payment_does_not() -> None:
    end = 1000 + CHECKOUT_S
    assert TOP_UP.expires_at == end
    assert [TOP_UP.status(now) for now in (end - 1, end)] == ["pending", "expired"]
    assert [replace(TOP_UP, phase=phase).status(end) for phase in ("processing", "paid", "failed")] == [
        "processing", "paid", "failed",
    ]  # fmt: skip


told = st.lists(st.tuples(st.sampled_from(["refunded", "disputed"]), st.integers(0, 40)), max_size=8)


@given(told, st.randoms())
def test_returns_come_in_any_order_and_any_number_of_times(news: list[tuple[str, int]], shuffled: object) -> None:
    def after(events: list[tuple[str, int]]) -> TopUp:
        top_up = TOP_UP
        for kind, dollars in events:
            top_up = with_return(top_up, News(kind, 1, Nano(dollars * USD), "pi"))  # type: ignore[arg-type]
        return top_up

    once = after(news)
    other = [*news, *news]
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    assert after(other) == once
    assert 0 <= once.returned <= once.amount


@pytest.mark.parametrize(
    ("account", "top_up", "good"),
    [
        (TOP_UP.account_id, TOP_UP.id, True),
        (None, TOP_UP.id, False),
        (TOP_UP.account_id, None, False),
        ("", TOP_UP.id, False),
        ("acct_1", TOP_UP.id, False),
        (TOP_UP.account_id, f"{TOP_UP.id}#", False),
        (TOP_UP.account_id, "topup_" + "U" * 26, False),  # no letter of Crockford's base32
        (TOP_UP.account_id, TOP_UP.account_id, False),
        (TOP_UP.id, TOP_UP.id, False),
    ],
)
def test_what_can_name_a_top_up(account: str | None, top_up: str | None, good: bool) -> None:
    assert is_reference(account, top_up) is good
