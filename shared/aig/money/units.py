"""The two money types, and their text forms. USD is written as a decimal string, never as a float."""

import re
from typing import NewType

Pico = NewType("Pico", int)  # a price: 10**-12 USD per unit, which is micro-USD per million units
Nano = NewType("Nano", int)  # an amount in the ledger: 10**-9 USD
NOTHING = Nano(0)

_DECIMAL = re.compile(r"(\d{1,9})(?:\.(\d+))?", re.ASCII)


def usd(amount: int) -> str:
    """Nano-USD as a decimal string with at least two places: 1_500_000_000 is `1.50`, 21 is `0.000000021`."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, fraction = divmod(amount, 10**9)
    return f"{sign}{whole}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def _scaled(text: str, places: int) -> int:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a decimal number of dollars such as 12.34")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > places:
        raise ValueError(f"{text!r} has more than {places} decimal places")
    scale: int = 10**places
    return int(whole) * scale + int(fraction.ljust(places, "0") or "0")


def parse_usd(text: str) -> Nano:
    """Dollars as a decimal string to nano-USD. Raises ValueError on signs, exponents and more than nine places."""
    return Nano(_scaled(text, 9))


def price_per_million(text: str) -> Pico:
    """`"0.05"` dollars for a million units to 50_000 pico-USD for one. Raises ValueError past six places."""
    return Pico(_scaled(text, 6))


def price_per_unit(text: str) -> Pico:
    """`"0.04"` dollars for one unit to 40_000_000_000 pico-USD. Raises ValueError past twelve places."""
    return Pico(_scaled(text, 12))
