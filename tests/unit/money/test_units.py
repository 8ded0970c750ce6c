"""Dollars as text and back, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.money.units import parse_usd, price_per_million, usd

nanos = st.integers(0, 10**18 - 1)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (21, "0.000000021"),
        (10_000_000, "0.01"),
        (1_000_000_000, "1.00"),
        (1_500_000_000, "1.50"),
        (1_234_567_890, "1.23456789"),
        (999_999_999, "0.999999999"),
        (-5_250, "-0.00000525"),
        (10**18, "1000000000.00"),
    ],
)
def test_usd_has_two_places_at_least_and_no_zeros_at_most(amount: int, text: str) -> None:
    assert usd(amount) == text


@given(nanos)
def test_text_and_back_is_the_same_amount(amount: int) -> None:
    assert parse_usd(usd(amount)) == amount


@given(st.integers(1, 10**18))
def test_a_negative_amount_is_written_as_the_positive_one_behind_a_minus(amount: int) -> None:
    assert usd(-amount) == f"-{usd(amount)}"


@given(nanos, nanos)
def test_text_keeps_sums(one: int, other: int) -> None:
    half, rest = one // 2, other // 2
    assert parse_usd(usd(half)) + parse_usd(usd(rest)) == parse_usd(usd(half + rest))


@pytest.mark.parametrize(
    ("text", "amount"), [("5", 5_000_000_000), ("0.000000001", 1), ("12.34", 12_340_000_000), ("00.10", 100_000_000)]
)
def test_parse_usd(text: str, amount: int) -> None:
    assert parse_usd(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        ".5",
        "1.",
        "1,5",
        " 1",
        "1 ",
        "1\n",
        "0x1",
        "NaN",
        "inf",
        "1_000",
        "1234567890",
        "1.2.3",
        "\u0665",
    ],
)
def test_parse_usd_refuses_what_is_not_a_plain_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number of dollars"):
        parse_usd(text)


def test_parse_usd_refuses_less_than_a_nano() -> None:
    with pytest.raises(ValueError, match="more than 9 decimal places"):
        parse_usd("0.0000000001")


@pytest.mark.parametrize(
    ("text", "pico"), [("0.05", 50_000), ("1.00", 1_000_000), ("2", 2_000_000), ("0.000001", 1), ("0", 0)]
)
def test_a_dollar_per_million_is_a_million_pico_per_unit(text: str, pico: int) -> None:
    assert price_per_million(text) == pico


def test_a_price_finer_than_a_pico_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 6 decimal places"):
        price_per_million("0.0000001")
