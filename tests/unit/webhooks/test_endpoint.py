"""Endpoints: what they are told of, and when they are taken for gone."""

from dataclasses import replace

from aig.webhooks.endpoint import APART_S, Endpoint, disabled, enabled, failed, is_lost, succeeded

DAY_S = 24 * 3600
NOW = 1_795_000_000


def endpoint(*events: str) -> Endpoint:
    return Endpoint("hook_1", "acct_1", "https://a.example/hook", events or ("*",), "key_1", NOW)


def test_an_endpoint_is_told_of_what_it_has_asked_for() -> None:
    assert endpoint("*").wants("balance.low")
    assert endpoint("job.completed", "balance.low").wants("balance.low")
    assert not endpoint("job.completed").wants("balance.low")
    assert not disabled(endpoint("*"), "gone", NOW).wants("balance.low")


def test_five_days_of_failures_switch_it_off() -> None:
    found = endpoint()
    for hour in range(5 * 24):
        found = failed(found, NOW + hour * 3600)
        assert not is_lost(found, NOW + hour * 3600)
    found = failed(found, NOW + 5 * DAY_S)
    assert is_lost(found, NOW + 5 * DAY_S)


def test_one_evening_of_failures_never_does() -> None:
    found = endpoint()
    for minute in range(300):
        found = failed(found, NOW + minute * 60)
    found = failed(found, NOW + 6 * DAY_S)
    assert found.failures == 2
    assert not is_lost(found, NOW + 6 * DAY_S)


def test_a_success_forgets_it_all() -> None:
    found = failed(failed(endpoint(), NOW), NOW + APART_S)
    assert found.failures == 2
    assert succeeded(found) == endpoint()
    assert succeeded(endpoint()) == endpoint()
    assert not is_lost(endpoint(), NOW)


def test_failures_close_together_change_nothing() -> None:
    found = failed(endpoint(), NOW)
    assert failed(found, NOW + APART_S - 1) is found


def test_it_can_be_switched_on_again() -> None:
    off = disabled(replace(endpoint(), failing_since=NOW, failures=9), "failing", NOW + 9)
    assert (off.active, off.reason, off.disabled_at) == (False, "failing", NOW + 9)
    assert enabled(off) == endpoint()
