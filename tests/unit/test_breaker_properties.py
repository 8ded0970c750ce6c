"""What holds of breakers and retry budgets whatever the traffic."""

from hypothesis import given
from hypothesis import strategies as st

from aig.breaker import BUDGET_WINDOW_S, EXTRA_FLOOR, EXTRA_SHARE, LONGEST_OPEN_S, Breaker, RetryBudget

NOW = 1000.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=300))
def test_it_is_open_only_after_a_failure_and_never_longer_than_five_minutes(steps: list[tuple[bool, float]]) -> None:
    breaker, now = Breaker(), NOW
    for good, passed in steps:
        now += passed
        changed = breaker.succeeded(now) if good else breaker.failed(now)
        assert not (good and breaker.opening)
        if changed and not good:
            assert breaker.opening is not None
            assert breaker.gate(now) == "open"
            assert now < breaker.opening.until <= now + LONGEST_OPEN_S
    assert breaker.gate(now + LONGEST_OPEN_S) in ("closed", "probe")


def test_half_of_nineteen_and_less_than_half_of_many_are_not_enough() -> None:
    few, many = Breaker(), Breaker()
    for _ in range(9):
        few.succeeded(NOW)
        assert not few.failed(NOW)
    assert not few.failed(NOW)
    for _ in range(20):
        for _ in range(3):
            many.succeeded(NOW)
        assert [many.failed(NOW), many.failed(NOW)] == [False, False]
    assert (few.gate(NOW), many.gate(NOW)) == ("closed", "closed")


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=300))
def test_second_attempts_are_never_more_than_their_share(steps: list[tuple[bool, float]]) -> None:
    budget, now = RetryBudget(), NOW
    calls: list[float] = []
    extra: list[float] = []
    for call, passed in steps:
        now += passed
        recent = [at for at in calls if at > now - BUDGET_WINDOW_S]
        taken = [at for at in extra if at > now - BUDGET_WINDOW_S]
        if call:
            budget.request(now)
            calls.append(now)
        elif budget.take(now):
            assert len(taken) < max(EXTRA_FLOOR, EXTRA_SHARE * len(recent))
            extra.append(now)
        else:
            assert len(taken) >= max(EXTRA_FLOOR, EXTRA_SHARE * len(recent))
