"""When an attempt follows one that failed. Pure.

Each wait is counted from the failure before it: the six attempts lie at 0, 30 s, 2 min 30 s, 12 min 30 s, 1 h 12 min
30 s and 7 h 12 min 30 s if every one of them fails at once.
"""

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz

DELAYS_S: tuple[int, ...] = (0, 30, 2 * 60, 10 * 60, 3600, 6 * 3600)
ATTEMPTS = len(DELAYS_S)
JITTER = 0.1
_MAY_ASK = (429, 503)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def asked_s(status: int | None, headers: Mapping[str, str], now: float) -> float | None:
    """For how long an answer of 429 or 503 asks to be left alone, in seconds. `headers` has lower-case names."""
    text = headers.get("retry-after", "").strip()
    if status not in _MAY_ASK or not text:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parsedate_tz(text)
    try:
        return None if date is None else max(0.0, mktime_tz(date) - now)
    except (OverflowError, ValueError):
        return None


def wait_s(number: int, chance: float, asked: float | None = None, scale: float = 1.0) -> float:
    """Seconds from the failure of the attempt before to attempt `number`, which counts from 1.

    `chance` in 0 … 1 spreads attempts over a tenth of the wait, so that they do not all come at once; never earlier.
    A receiver may ask for up to twice the wait. `scale` is what makes time pass faster on one's own machine.
    """
    base = DELAYS_S[number - 1]
    wait = base if asked is None else min(max(asked, base), 2 * base)
    return (wait + base * JITTER * chance) * scale
