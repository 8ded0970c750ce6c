"""State machines as the local stack runs them: moto's interpreter, with the functions of this process."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.deploy import create_machines
from local.embedded import EmbeddedAws
from local.errors import StartError
from local.machine_resources import Machine
from local.machines import INPUT_LIMIT_BYTES, run_tasks

ARN = "arn:aws:lambda:us-east-1:123456789012:function:aigateway-Worker"
TASK: Mapping[str, Any] = {"Type": "Task", "Resource": ARN, "End": True}
PATIENCE_S = 30.0
Answer = Callable[[dict[str, Any]], object]


class Throttled(Exception):
    """What a provider says of its queue."""


@dataclass
class Stage:
    """The embedded Step Functions and the one function behind its tasks."""

    client: Any
    endpoint: str
    answer: Answer = lambda event: None
    events: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def invoke(self, function: str, event: dict[str, Any]) -> object:
        assert function == "Worker"
        self.events.append(event)
        return self.answer(event)

    def create(self, states: Mapping[str, Any]) -> str:
        """The ARN of a machine with these states, the first of which begins."""
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        machine = Machine("M", f"m-{uuid.uuid4().hex}", definition, {ARN: "Worker"})
        create_machines([machine], self.endpoint)
        run_tasks([machine], self.invoke, self.log.append)
        return f"arn:aws:states:us-east-1:123456789012:stateMachine:{machine.name}"

    def start(self, machine: str, given: object, name: str = "once") -> str:
        started = self.client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))
        return str(started["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        """An execution once it is closed."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.client.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.02)
        raise AssertionError("it still runs")

    def run(self, states: Mapping[str, Any], answer: Answer, given: object = None) -> dict[str, Any]:
        """How an execution with these states ends."""
        self.answer = answer
        return self.ended(self.start(self.create(states), given or {}))

    def happened(self, execution: str) -> list[str]:
        """The types of an execution's events."""
        return [event["type"] for event in self.client.get_execution_history(executionArn=execution)["events"]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    aws = EmbeddedAws()
    yield aws.start()
    aws.stop()


@pytest.fixture
def stage(endpoint: str) -> Iterator[Stage]:
    client = boto3.client("stepfunctions", endpoint_url=endpoint)
    yield Stage(client, endpoint)
    client.close()


def caught_by(*names: str, **more: Any) -> dict[str, Any]:
    """A task whose errors of these names end in a state that hands them on."""
    catch = [{"ErrorEquals": list(names), "ResultPath": "$.error", "Next": "Caught"}]
    return {"Try": {**TASK, "Catch": catch, **more}, "Caught": {"Type": "Pass", "End": True}}


def raising(error: Exception) -> Answer:
    def answer(_: dict[str, Any]) -> object:
        raise error

    return answer


def test_a_task_has_the_state_s_input_and_its_answer_is_the_output(stage: Stage) -> None:
    ended = stage.run({"Do": TASK}, lambda event: {"seen": event["job"]}, {"job": "ä"})
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"seen": "ä"})
    assert stage.events == [{"job": "ä"}]


def test_a_task_by_the_integration_has_the_payload_that_it_names(stage: Stage) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": ARN, "Payload": {"action": "submit", "job.$": "$.job"}},
        "ResultSelector": {"answer.$": "$.Payload"},
        "ResultPath": "$.submitted",
        "End": True,
    }
    ended = stage.run({"Do": task}, lambda event: [1, event["job"]], {"job": "j"})
    assert json.loads(ended["output"]) == {"job": "j", "submitted": {"answer": [1, "j"]}}
    assert stage.events == [{"action": "submit", "job": "j"}]


def test_a_loop_of_wait_poll_and_choice_ends_when_the_function_says_so(stage: Stage) -> None:
    states = {
        "Wait": {"Type": "Wait", "SecondsPath": "$.wait", "Next": "Poll"},
        "Poll": {"Type": "Task", "Resource": ARN, "ResultPath": "$.poll", "Next": "Done?"},
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.poll.done", "BooleanEquals": True, "Next": "Yes"}],
            "Default": "Wait",
        },
        "Yes": {"Type": "Succeed"},
    }
    ended = stage.run(states, lambda _: {"done": len(stage.events) == 4}, {"wait": 0})
    assert (ended["status"], len(stage.events)) == ("SUCCEEDED", 4)


@pytest.mark.parametrize("wait", [0.5, "1", -1])
def test_seconds_that_are_not_whole_end_the_execution(stage: Stage, wait: object) -> None:
    states = {"Wait": {"Type": "Wait", "SecondsPath": "$.wait", "End": True}}
    ended = stage.run(states, lambda _: None, {"wait": wait})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")


def test_an_exception_is_caught_by_the_name_of_its_class_and_said(stage: Stage) -> None:
    ended = stage.run(caught_by("Throttled"), raising(Throttled("too many")))
    error = json.loads(ended["output"])["error"]
    assert error["Error"] == "Throttled"
    assert json.loads(error["Cause"])["errorMessage"] == "too many"
    assert stage.log == ["Worker failed: Throttled: too many"]


@pytest.mark.parametrize("name", ["States.ALL", "States.TaskFailed"])
def test_the_wildcards_catch_it_too(stage: Stage, name: str) -> None:
    ended = stage.run(caught_by(name), raising(KeyError("x")))
    assert json.loads(ended["output"])["error"]["Error"] == "KeyError"


def test_another_name_does_not_and_the_end_is_said(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    ended = stage.run(caught_by("Throttled"), raising(KeyError("x")))
    assert (ended["status"], ended["error"]) == ("FAILED", "KeyError")
    (said,) = caplog.messages
    assert said.partition(" ")[2].startswith("once: FAILED KeyError {")


def test_the_integration_s_errors_are_the_same(stage: Stage) -> None:
    integration = {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": ARN, "Payload": {}}}
    ended = stage.run(caught_by("Throttled", **integration), raising(Throttled("x")))
    assert json.loads(ended["output"])["error"]["Error"] == "Throttled"


def test_a_function_that_no_machine_names_is_not_found(stage: Stage) -> None:
    parameters = {"FunctionName": f"{ARN}Other", "Payload": {}}
    integration = {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters}
    ended = stage.run(caught_by("Lambda.ResourceNotFoundException", **integration), lambda _: None)
    assert ended["status"] == "SUCCEEDED"
    assert stage.events == []


def test_an_answer_that_is_no_json_is_an_error_of_the_task(stage: Stage) -> None:
    ended = stage.run(caught_by("Runtime.MarshalError"), lambda _: object())
    assert ended["status"] == "SUCCEEDED"


def test_retries_are_by_name_and_in_number(stage: Stage) -> None:
    retry = [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 1, "MaxAttempts": 1}]

    def throttled_once(_: dict[str, Any]) -> object:
        if len(stage.events) == 1:
            raise Throttled("wait")
        return "done"

    ended = stage.run({"Do": {**TASK, "Retry": retry}}, throttled_once)
    assert (ended["status"], len(stage.events)) == ("SUCCEEDED", 2)
    stage.events.clear()
    ended = stage.run({"Do": {**TASK, "Retry": retry}}, raising(Throttled("always")))
    assert (ended["status"], ended["error"], len(stage.events)) == ("FAILED", "Throttled", 2)


def test_a_task_that_takes_too_long_is_a_timeout_and_no_failure_of_the_task(stage: Stage) -> None:
    released = threading.Event()
    states = caught_by("States.TaskFailed", TimeoutSeconds=1)
    states["Try"]["Catch"].append({"ErrorEquals": ["States.Timeout"], "Next": "Late"})
    states["Late"] = {"Type": "Pass", "Result": {"late": True}, "End": True}
    ended = stage.run(states, lambda _: released.wait(PATIENCE_S))
    released.set()
    assert json.loads(ended["output"]) == {"late": True}


def test_an_output_above_256_kb_ends_the_execution_whatever_is_caught(stage: Stage) -> None:
    ended = stage.run(caught_by("States.ALL"), lambda _: "x" * INPUT_LIMIT_BYTES)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_a_path_that_leads_nowhere_ends_the_execution_whatever_is_caught(stage: Stage) -> None:
    ended = stage.run(caught_by("States.ALL", ResultSelector={"a.$": "$.missing"}), lambda _: {})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")


def test_an_input_above_256_kb_is_refused(stage: Stage) -> None:
    machine = stage.create({"Do": TASK})
    with pytest.raises(ClientError, match="less than or equal to 262144") as refused:
        stage.start(machine, "x" * INPUT_LIMIT_BYTES)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_name_starts_once(stage: Stage) -> None:
    released = threading.Event()
    stage.answer = lambda _: released.wait(PATIENCE_S)
    machine = stage.create({"Do": TASK})
    executions: list[str] = []
    starts = [threading.Thread(target=lambda: executions.append(stage.start(machine, {"a": 1}))) for _ in range(8)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(executions) == 8
    assert len(set(executions)) == 1
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        stage.start(machine, {"a": 2})
    released.set()
    stage.ended(executions[0])
    assert len(stage.events) == 1
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        stage.start(machine, {"a": 1})


def test_many_run_at_a_time_and_leave_no_thread(stage: Stage) -> None:
    everybody = threading.Barrier(60)
    stage.answer = lambda _: everybody.wait(PATIENCE_S) >= 0
    before = threading.active_count()
    machine = stage.create({"Do": TASK})
    executions = [stage.start(machine, {}, name) for name in map(str, range(60))]
    assert {stage.ended(execution)["status"] for execution in executions} == {"SUCCEEDED"}
    deadline = time.monotonic() + PATIENCE_S
    while threading.active_count() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before + 2


def test_the_events_of_the_last_executions_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.answer = lambda _: None
    machine = stage.create({"Do": TASK})
    monkeypatch.setattr("local.machines._HISTORIES_KEPT", 1)
    first = stage.start(machine, {}, "first")
    stage.ended(first)
    assert stage.happened(first)[0] == "ExecutionStarted"
    for name in ("second", "third"):
        stage.ended(stage.start(machine, {}, name))
    assert stage.happened(first) == []
    assert stage.client.describe_execution(executionArn=first)["status"] == "SUCCEEDED"
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        stage.start(machine, {}, "first")


def test_an_execution_can_be_stopped(stage: Stage) -> None:
    machine = stage.create({"Wait": {"Type": "Wait", "Seconds": 600, "End": True}})
    execution = stage.start(machine, {})
    deadline = time.monotonic() + PATIENCE_S
    while "WaitStateEntered" not in stage.happened(execution) and time.monotonic() < deadline:
        time.sleep(0.02)
    stage.client.stop_execution(executionArn=execution, error="Cancelled", cause="by the client")
    assert stage.ended(execution)["status"] == "ABORTED"


def test_a_definition_that_is_none_keeps_the_stack_from_starting(endpoint: str) -> None:
    with pytest.raises(StartError, match=r"^Step Functions at \S+ does not work"):
        create_machines([Machine("M", "broken", '{"StartAt": "A"', {})], endpoint)
