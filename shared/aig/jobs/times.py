"""How long a job may wait and work, and how often its provider is asked for it. Pure; seconds.

A job waits in our queue while its provider has as many as it may have, or takes none. What a provider takes longer for
than is said here, it has most likely lost; a result that comes later is not delivered and not charged.
"""

from collections.abc import Mapping

from aig.modalities.job import JobKind

QUEUE_S = 6 * 3600  # from the order until a provider has it
WORK_S: Mapping[JobKind, int] = {"video": 3600, "music": 1200, "three_d": 3600}  # from then on
KEEP_S = 900  # more, once its files are being kept
GRACE_S = 300  # behind a deadline, until somebody else than the job's own machine sees to it
FILES_S = 7 * 24 * 3600  # from the order on: no link lasts longer
ROW_S = 30 * 24 * 3600
UNSEEN_S = 120  # after an order, until it is brought to the worker again
SILENT_S = 900  # after its machine was last heard of, until it gets another
STAMP_S = 330  # a submission takes at most
MOST_TRIES = 5  # rounds of all candidates
MOST_LOST = 3  # polls that find nobody who knows the job

_FIRST_POLL_S, _SLOWEST_POLL_S = 1, 15
_TURN_S = 15
_LONGEST_BACK_OFF_S, _DOUBLINGS = 120, 5
_LONGEST_RETRY_AFTER_S = 900


def hold_s(kind: JobKind) -> int:
    """How long the money of an order is set aside: no live job outlasts its hold."""
    return QUEUE_S + STAMP_S + WORK_S[kind] + KEEP_S + 2 * GRACE_S


def until_poll(worked: float) -> int:
    """Until a job that has been worked on for so long is asked for: an eighth of that, from one second to fifteen."""
    return round(min(_SLOWEST_POLL_S, max(_FIRST_POLL_S, worked / 8)))


def until_turn() -> int:
    """Until a job without a place at its provider asks for one again: the same for all, so that none comes first."""
    return _TURN_S


def until_free(stamped_until: int, now: int) -> int:
    """Until it is looked whether who submits a job has done it."""
    return max(1, min(_TURN_S, stamped_until - now))


def until_again(tries: int, retry_after: float | None) -> int:
    """Until a round of submitting that found nobody is repeated: five seconds, then twice as long each time."""
    back_off = 5.0 * (1 << min(tries, _DOUBLINGS))
    return round(max(min(_LONGEST_BACK_OFF_S, back_off), min(_LONGEST_RETRY_AFTER_S, retry_after or 0)))


def looks_silent(look_at: int, now: int) -> bool:
    """Whether it is time to say again that a job is seen to."""
    return look_at < now + SILENT_S // 2
