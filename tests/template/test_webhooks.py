"""What sends webhooks: a stream's second reader, a queue, a machine, and who is told when they fail."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from aig.deliveries import LEASE_S
from aig.webhooks.schedule import DELAYS_S
from aig_providers.fetch import TOTAL_S
from local.template import ROOT, Stack

Resources = Mapping[str, Mapping[str, Any]]
DAY_S = 24 * 3600


def _asl() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "statemachines" / "webhook.asl.json").read_text(encoding="utf-8"))
    return found


def test_only_events_that_are_written_wake_the_dispatcher(stack: Stack, resources: Resources) -> None:
    (mapping,) = (mapping for mapping in stack.streams if mapping.name == "DispatcherMapping")
    assert (mapping.function, mapping.from_the_start, mapping.window) == ("DispatcherFunction", True, 0)
    assert mapping.filters == ({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["event"]}}}},)
    properties = resources["DispatcherMapping"]["Properties"]
    assert properties["EventSourceArn"] == {"Fn::GetAtt": ["CoreTable", "StreamArn"]}
    assert (properties["ParallelizationFactor"], properties["BisectBatchOnFunctionError"]) == (10, True)
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["DispatcherFailures", "Arn"]}


def test_an_account_whose_events_fail_does_not_keep_those_of_others_for_hours(resources: Resources) -> None:
    assert resources["DispatcherMapping"]["Properties"]["MaximumRetryAttempts"] == 100


def test_webhooks_may_be_kept_from_taking_all_of_the_accounts_environments(stack: Stack, resources: Resources) -> None:
    """What is reserved has room for the fast lane and for executions beside it."""
    at_once = resources["WebhookMapping"]["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    parameter = stack.translated["Parameters"]["WebhookConcurrency"]
    assert all(re.fullmatch(parameter["AllowedPattern"], text) for text in ("", "60", "99", "100", "1000"))
    assert not any(re.fullmatch(parameter["AllowedPattern"], str(less)) for less in (0, 5, at_once, 59))


def test_no_more_than_two_read_the_stream(stack: Stack) -> None:
    """DynamoDB throttles a shard that more read."""
    assert len(stack.streams) == 2


def test_the_queue_waits_for_its_worker_and_keeps_what_fails(stack: Stack, resources: Resources) -> None:
    queue = resources["WebhookQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * stack.functions["WebhookWorkerFunction"].timeout
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["WebhookFailures", "Arn"]},
        "maxReceiveCount": 10,
    }
    for name in ("WebhookFailures", "DispatcherFailures"):
        assert resources[name]["Properties"]["MessageRetentionPeriod"] == 14 * DAY_S


def test_a_batch_is_worked_on_at_once_and_what_failed_is_named(resources: Resources) -> None:
    mapping = resources["WebhookMapping"]["Properties"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["WebhookQueue", "Arn"]}
    assert (mapping["BatchSize"], mapping["ScalingConfig"]) == (10, {"MaximumConcurrency": 50})
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_an_attempt_ends_before_its_lease_and_that_before_the_worker(stack: Stack) -> None:
    assert TOTAL_S < LEASE_S < stack.functions["WebhookWorkerFunction"].timeout
    assert stack.functions["WebhookWorkerFunction"].timeout < _asl()["States"]["Attempt"]["TimeoutSeconds"]


def test_the_machine_is_found_by_its_name_so_that_it_may_name_the_worker(resources: Resources) -> None:
    machine = resources["WebhookMachine"]["Properties"]
    assert machine["StateMachineName"] == {"Fn::Sub": "${AWS::StackName}-webhook"}
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["DefinitionSubstitutions"] == {"WebhookWorkerArn": {"Fn::GetAtt": ["WebhookWorkerFunction", "Arn"]}}
    variables = resources["WebhookWorkerFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["AIG_WEBHOOK_MACHINE"]["Fn::Sub"].endswith(":stateMachine:${AWS::StackName}-webhook")


def test_the_machine_outlasts_every_wait_and_every_retry() -> None:
    asl = _asl()
    longest = sum(DELAYS_S) * 2.1  # as a receiver may ask
    attempt = asl["States"]["Attempt"]
    retried = sum(
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** number, retry["MaxDelaySeconds"])
        for retry in attempt["Retry"]
        for number in range(retry["MaxAttempts"])
    )
    assert asl["TimeoutSeconds"] > longest + 6 * retried
    assert math.isclose(asl["TimeoutSeconds"], 3 * DAY_S)


def test_the_machine_repeats_an_attempt_no_sooner_than_its_lease_is_over() -> None:
    *services, anything = _asl()["States"]["Attempt"]["Retry"]
    assert anything["ErrorEquals"] == ["States.ALL"]
    assert anything["IntervalSeconds"] >= LEASE_S
    assert all(error.startswith("Lambda.") for retry in services for error in retry["ErrorEquals"])


def test_every_state_is_reached_and_ends_or_goes_on() -> None:
    states = _asl()["States"]
    following = {
        name: [
            *([state["Next"]] if "Next" in state else []),
            *(choice["Next"] for choice in state.get("Choices", ())),
            *([state["Default"]] if "Default" in state else []),
        ]
        for name, state in states.items()
    }
    assert {target for targets in following.values() for target in targets} | {_asl()["StartAt"]} == states.keys()
    assert [name for name, targets in following.items() if not targets] == ["Done"]


def test_somebody_is_told_when_webhooks_are_not_sent(resources: Resources) -> None:
    metrics = {metric["Id"]: metric for metric in resources["WebhookAlarm"]["Properties"]["Metrics"]}
    told = {name: metric["MetricStat"]["Metric"] for name, metric in metrics.items() if "MetricStat" in metric}
    assert {name: metric["MetricName"] for name, metric in told.items()} == {
        "behind": "IteratorAge",
        "given_up": "ApproximateNumberOfMessagesVisible",
        "dead": "ApproximateNumberOfMessagesVisible",
        "broken": "ExecutionsFailed",
        "timed_out": "ExecutionsTimedOut",
        "aborted": "ExecutionsAborted",
        "forgotten": "WebhookForgotten",
        "unreadable": "EventUnreadable",
    }
    assert all(name in metrics["missing"]["Expression"] for name in told)
