"""A delivery from its first attempt to its end."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.events import Event
from aig.ids import has_form
from aig.webhooks.delivery import (
    OVERDUE_S,
    Delivery,
    Outcome,
    after,
    cancelled,
    delivery_id,
    given_up,
    made,
    outcome_of,
    resent,
    revived,
    waiting,
)

NOW = 1_795_000_000.0
FAILED = Outcome(500, "status")


def pending() -> Delivery:
    return Delivery(
        "whd_1", "acct_1", "evt_1", "balance.low", "https://a.example", "hook_1", "key_1", int(NOW), int(NOW * 1000)
    )


def test_w01_five_failures_and_a_success_lie_where_the_schedule_says() -> None:
    delivery, now, offsets = pending(), NOW, []
    for outcome in [*([FAILED] * 5), Outcome(200)]:
        now += delivery.seconds_until_due(now)
        offsets.append(now - NOW)
        delivery = after(delivery, outcome, now, 0.0, 1.0)
    assert offsets == [0, 30, 150, 750, 4350, 25_950]
    assert (delivery.status, delivery.attempts, delivery.ended_at) == ("delivered", 6, int(now))


def test_w02_the_sixth_failure_is_the_last() -> None:
    delivery = pending()
    for _ in range(6):
        assert delivery.status == "pending"
        delivery = after(delivery, FAILED, NOW, 1.0, 1.0)
    assert (delivery.status, delivery.attempts, delivery.ended_at) == ("dead", 6, int(NOW))


@given(st.floats(0, 1), st.floats(0.001, 1), st.integers(0, 4))
def test_a_wait_is_a_tenth_longer_at_most(chance: float, scale: float, made: int) -> None:
    delivery = after(replace(pending(), attempts=made), FAILED, NOW, chance, scale)
    base = (30, 120, 600, 3600, 21600)[made] * scale
    assert base - 0.001 <= delivery.seconds_until_due(NOW) <= base * 1.1 + 0.001  # milliseconds are whole


def test_nothing_is_due_before_the_present() -> None:
    assert pending().seconds_until_due(NOW + 5) == 0


def test_w15_who_is_gone_is_not_asked_again() -> None:
    assert after(pending(), outcome_of(410, 3, b"", {}), NOW, 0.0, 1.0).status == "dead"


def test_an_answer_that_asks_for_time_gets_some() -> None:
    delivery = after(pending(), outcome_of(503, 3, b"", {"retry-after": "40"}), NOW, 0.0, 1.0)
    assert delivery.seconds_until_due(NOW) == 40


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (299, True), (199, False), (301, False), (304, False), (404, False)]
)
def test_only_2xx_is_success(status: int, good: bool) -> None:
    assert outcome_of(status, 1, b"", {}).succeeded == good


def test_a_resend_is_another_round_of_all_attempts_under_the_same_id() -> None:
    dead = replace(pending(), status="dead", attempts=6, ended_at=int(NOW))
    again = resent(dead, NOW + 60)
    assert (again.id, again.round, again.attempts, again.status, again.ended_at) == ("whd_1", 2, 0, "pending", None)
    assert again.seconds_until_due(NOW + 60) == 0


def test_what_may_be_sent_again() -> None:
    assert not pending().may_resend(NOW)
    assert pending().may_resend(NOW + 3601)  # nobody goes on with it
    assert cancelled(pending(), NOW).may_resend(NOW)
    assert cancelled(pending(), NOW).ended_at == int(NOW)


def test_an_event_and_a_receiver_make_one_delivery() -> None:
    one = delivery_id("evt_1", int(NOW), "hook_1")
    assert one == delivery_id("evt_1", int(NOW), "hook_1")
    assert has_form(one, "whd")
    assert len({one, delivery_id("evt_2", int(NOW), "hook_1"), delivery_id("evt_1", int(NOW), "hook_2")}) == 3


def test_an_hour_behind_its_time_somebody_else_looks_at_it() -> None:
    event = Event("evt_1", "balance.low", "acct_1", {}, int(NOW))
    delivery = made(event, "https://a.example", None, "key_1", NOW)
    assert delivery.look_at == NOW + OVERDUE_S
    failed = after(delivery, FAILED, NOW + 5, 0.0, 1.0)
    assert failed.look_at == NOW + 5 + 30 + OVERDUE_S
    assert waiting(failed, NOW + 700.5).look_at == NOW + 701 + OVERDUE_S
    back = revived(failed, NOW + 9000)
    assert (back.look_at, back.revived, back.attempts) == (NOW + 9000 + OVERDUE_S, 1, 1)
    dead = given_up(back, NOW + 20_000)
    assert (dead.status, dead.ended_at, dead.may_resend(NOW + 20_000)) == ("dead", NOW + 20_000, True)
    again = resent(dead, NOW + 30_000)
    assert (again.look_at, again.revived) == (NOW + 30_000 + OVERDUE_S, 0)
