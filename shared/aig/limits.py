"""Rate limits: a fixed window of one minute per key. Pure."""

WINDOW_S = 60


def window(now: float) -> int:
    """The number of the minute that a unix time lies in."""
    return int(now) // WINDOW_S


def retry_after(now: float) -> int:
    """Whole seconds until the window ends, at least 1."""
    return WINDOW_S - int(now) % WINDOW_S


def window_ends(number: int) -> int:
    """Unix time at which a window is over."""
    return (number + 1) * WINDOW_S
