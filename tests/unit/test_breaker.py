"""When a provider's model is left alone, and how many second attempts there may be."""

import pytest

from aig.breaker import CONSECUTIVE, LEAST_REQUESTS, LONGEST_OPEN_S, OPEN_S, PROBE_S, Breaker, Opening, RetryBudget

NOW = 1_000_000.0


def opened(now: float = NOW) -> Breaker:
    breaker = Breaker()
    assert [breaker.failed(now) for _ in range(CONSECUTIVE)] == [False] * (CONSECUTIVE - 1) + [True]
    return breaker


class TestBreaker:
    def test_five_in_a_row_open_it(self) -> None:
        breaker = opened()
        assert breaker.opening == Opening(1, int(NOW) + OPEN_S)
        assert (breaker.gate(NOW), breaker.gate(NOW + OPEN_S - 1), breaker.gate(NOW + OPEN_S)) == (
            "open", "open", "probe"
        )  # fmt: skip

    def test_a_success_between_starts_the_count_anew(self) -> None:
        breaker = Breaker()
        for _ in range(CONSECUTIVE - 1):
            breaker.failed(NOW)
        assert not breaker.well
        assert not breaker.succeeded(NOW)
        assert breaker.well
        assert not any(breaker.failed(NOW) for _ in range(CONSECUTIVE - 1))
        assert breaker.gate(NOW) == "closed"

    def test_half_of_twenty_within_the_window_open_it(self) -> None:
        breaker = Breaker()
        for second in range(LEAST_REQUESTS // 2 - 1):
            assert not breaker.failed(NOW + second)
            assert not breaker.succeeded(NOW + second)
        breaker.succeeded(NOW + 10)
        assert breaker.failed(NOW + 11)

    def test_what_lies_further_back_than_the_window_does_not_count(self) -> None:
        breaker = Breaker()
        for second in range(0, 100, 4):
            assert not breaker.failed(NOW + second)
            breaker.succeeded(NOW + second)

    def test_a_refused_key_opens_it_at_once(self) -> None:
        breaker = Breaker()
        assert breaker.failed(NOW, at_once=True)
        assert breaker.gate(NOW + 1) == "open"

    def test_failures_while_it_is_open_change_nothing(self) -> None:
        breaker = opened()
        assert not breaker.failed(NOW + 5)
        assert breaker.opening == Opening(1, int(NOW) + OPEN_S)

    def test_each_failed_probe_opens_it_for_longer_up_to_five_minutes(self) -> None:
        breaker, now, spans = opened(), NOW, list[int]()
        for _ in range(12):
            assert breaker.opening is not None
            now = float(breaker.opening.until)
            assert breaker.gate(now) == "probe"
            breaker.probing(now)
            assert breaker.failed(now)
            spans.append(breaker.opening.until - int(now))
        assert spans[:4] == [2 * OPEN_S, 3 * OPEN_S, 4 * OPEN_S, 5 * OPEN_S]
        assert spans[-1] == LONGEST_OPEN_S

    def test_one_probe_at_a_time_and_a_lost_one_is_given_up(self) -> None:
        breaker = opened()
        later = NOW + OPEN_S
        breaker.probing(later)
        assert breaker.gate(later + PROBE_S - 1) == "open"
        assert breaker.gate(later + PROBE_S) == "probe"

    def test_a_probe_that_succeeds_closes_it_and_forgets(self) -> None:
        breaker = opened()
        assert breaker.succeeded(NOW + OPEN_S)
        assert breaker.gate(NOW + OPEN_S) == "closed"
        assert breaker.well
        assert opened_again(breaker, NOW + OPEN_S) == Opening(1, int(NOW) + 2 * OPEN_S)

    def test_it_learns_what_the_others_know(self) -> None:
        breaker = Breaker()
        breaker.learn(Opening(3, int(NOW) + 90), NOW)
        assert breaker.gate(NOW) == "open"
        assert not breaker.well
        breaker.learn(None, NOW)
        assert breaker.well
        breaker.failed(NOW)
        breaker.learn(None, NOW)  # that nobody has opened it says nothing of what was met here
        assert not breaker.well

    def test_a_refusal_closes_an_open_one_and_makes_none_well(self) -> None:
        breaker = opened()
        assert breaker.answered(NOW + OPEN_S)
        assert breaker.gate(NOW + OPEN_S) == "closed"
        breaker.failed(NOW + OPEN_S)
        assert not breaker.answered(NOW + OPEN_S)
        assert not breaker.well


def opened_again(breaker: Breaker, now: float) -> Opening | None:
    for _ in range(CONSECUTIVE):
        breaker.failed(now)
    return breaker.opening


class TestRetryBudget:
    def test_three_are_always_free(self) -> None:
        budget = RetryBudget()
        assert [budget.take(NOW) for _ in range(4)] == [True, True, True, False]
        assert budget.take(NOW + 11)

    @pytest.mark.parametrize(("requests", "extra"), [(10, 3), (15, 3), (20, 4), (100, 20)])
    def test_beyond_them_a_fifth_of_the_calls_of_ten_seconds(self, requests: int, extra: int) -> None:
        budget = RetryBudget()
        for number in range(requests):
            budget.request(NOW + number / requests)
        taken = sum(budget.take(NOW + 1) for _ in range(requests))
        assert taken == extra
        assert not budget.take(NOW + 2)
