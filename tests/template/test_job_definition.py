"""statemachines/job.asl.json: what it is made of. Its branches are run by tests/integration/test_job_machine.py."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.template import ROOT

STATES: Mapping[str, Mapping[str, Any]] = json.loads((ROOT / "statemachines/job.asl.json").read_text())["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
TRANSIENT = {
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
}


def after(state: Mapping[str, Any]) -> Iterator[str]:
    """Where a state may lead."""
    yield from (state[name] for name in ("Next", "Default") if name in state)
    yield from (rule["Next"] for name in ("Choices", "Catch") for rule in state.get(name, ()))


def patient(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a task is repeated while the store is busy."""
    (retry,) = [retry for retry in state["Retry"] if "StoreBusy" in retry["ErrorEquals"]]
    return dict(retry)


def test_every_state_is_reached_and_every_way_leads_somewhere() -> None:
    seen, left = set[str](), ["Submit"]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += after(STATES[name])
    assert seen == STATES.keys()


def test_from_every_state_there_is_a_way_to_the_end() -> None:
    ends = {name for name, state in STATES.items() if state["Type"] == "Succeed" or state.get("End")}
    assert ends == {"Ended"}
    while more := {name for name, state in STATES.items() if ends & set(after(state))} - ends:
        ends |= more
    assert ends == STATES.keys()


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_bounded_and_repeated(name: str) -> None:
    state = TASKS[name]
    assert state["TimeoutSeconds"] == (930 if name == "Store" else 330)
    for retry in state["Retry"]:
        assert retry["BackoffRate"] > 1
        assert retry["MaxAttempts"] >= 6
        assert retry["MaxDelaySeconds"] <= 120
    last = set(state["Retry"][-1]["ErrorEquals"])
    assert last == {"States.ALL"} or TRANSIENT | {"StoreBusy"} <= last


@pytest.mark.parametrize("name", sorted(TASKS.keys() - {"Compensate"}))
def test_whatever_a_task_dies_of_is_compensated(name: str) -> None:
    (catch,) = TASKS[name]["Catch"]
    assert (catch["ErrorEquals"], catch["Next"]) == (["States.ALL"], "Compensate")
    assert catch["ResultPath"] == "$.error"  # the job's name is still needed


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_whose_job_it_is_and_keeps_that(name: str) -> None:
    assert {"tenant.$", "job_id.$", "action"} <= TASKS[name]["Parameters"].keys()
    assert TASKS[name]["ResultPath"] == "$.next"


@pytest.mark.parametrize("name", ["Submit", "Poll", "Store"])
def test_a_worker_that_is_killed_or_runs_too_long_is_started_again(name: str) -> None:
    """How Lambda names these: it has changed over the years."""
    retry = patient(TASKS[name])
    assert {"Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError"} <= set(retry["ErrorEquals"])


def test_a_store_that_its_machine_gives_up_is_started_again() -> None:
    """Lambda ends the worker after 900 seconds, and says so before the machine gives it up."""
    assert "States.Timeout" in patient(TASKS["Store"])["ErrorEquals"]
    assert TASKS["Store"]["TimeoutSeconds"] > 900


@pytest.mark.parametrize("name", ["Submit", "Poll", "Store"])
def test_a_busy_store_is_outlasted(name: str) -> None:
    """Half an hour of it, and more, is no reason to give up what a provider is at work on."""
    retry = patient(TASKS[name])
    steps = range(retry["MaxAttempts"])
    waits = [min(retry["MaxDelaySeconds"], retry["IntervalSeconds"] * retry["BackoffRate"] ** at) for at in steps]
    assert len(waits) == 40
    assert sum(waits) > 30 * 60
    assert retry["JitterStrategy"] == "FULL"


def test_a_result_is_fetched_seven_times() -> None:
    (lost,) = [retry for retry in TASKS["Store"]["Retry"] if retry["ErrorEquals"] == ["ResultLost"]]
    assert lost["MaxAttempts"] == 6
