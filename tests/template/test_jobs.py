"""The queue, the machine and the alarm of jobs."""

from collections.abc import Mapping
from typing import Any

from aig.jobs import times
from aig.jobsteps import ASK_S, POLL_S
from local.template import Stack

Resources = Mapping[str, Mapping[str, Any]]
DAY_S = 24 * 3600


class TestTheQueue:
    def test_a_message_is_not_seen_again_while_a_worker_may_have_it(self, stack: Stack, resources: Resources) -> None:
        """J20: six times the function's timeout, as AWS advises."""
        visible = resources["JobQueue"]["Properties"]["VisibilityTimeout"]
        assert visible >= 6 * stack.functions["JobWorkerFunction"].timeout

    def test_what_fails_five_times_is_kept_for_two_weeks(self, resources: Resources) -> None:
        assert resources["JobQueue"]["Properties"]["RedrivePolicy"] == {
            "deadLetterTargetArn": {"Fn::GetAtt": ["JobFailures", "Arn"]},
            "maxReceiveCount": 5,
        }
        assert resources["JobFailures"]["Properties"]["MessageRetentionPeriod"] == 14 * DAY_S

    def test_one_bad_message_holds_up_no_other(self, stack: Stack, resources: Resources) -> None:
        mapping = resources["JobMapping"]["Properties"]
        assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["JobQueue", "Arn"]}
        assert mapping["FunctionName"] == {"Ref": "JobWorkerFunction"}
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert [one.function for one in stack.queue_mappings if one.function == "JobWorkerFunction"]


class TestTheMachine:
    def test_it_is_a_standard_one_that_runs_the_file(self, stack: Stack, resources: Resources) -> None:
        properties = resources["JobMachine"]["Properties"]
        assert properties["StateMachineType"] == "STANDARD"  # whose names start once for ninety days
        (machine,) = (machine for machine in stack.machines if machine.logical_id == "JobMachine")
        assert list(machine.functions.values()) == ["JobWorkerFunction"]

    def test_it_has_the_name_by_which_the_worker_starts_it(self, resources: Resources) -> None:
        name = resources["JobMachine"]["Properties"]["StateMachineName"]
        assert name == {"Fn::Sub": "${AWS::StackName}-job"}
        variables = resources["JobWorkerFunction"]["Properties"]["Environment"]["Variables"]
        assert variables["AIG_JOB_MACHINE"]["Fn::Sub"].endswith(":stateMachine:${AWS::StackName}-job")


def test_times_fit_into_each_other(stack: Stack) -> None:
    """A submission is over before another may begin it; a job before its hold; a file before its link."""
    assert ASK_S < times.STAMP_S
    assert stack.functions["JobWorkerFunction"].timeout > POLL_S
    for kind, seconds in times.WORK_S.items():
        assert times.QUEUE_S + seconds + times.GRACE_S < times.hold_s(kind)
        assert times.hold_s(kind) < DAY_S  # when the picture goes that it began with
    assert times.FILES_S < times.ROW_S


def test_jobs_that_break_are_told(resources: Resources) -> None:
    metrics = {metric["Id"]: metric for metric in resources["JobAlarm"]["Properties"]["Metrics"]}
    told = {name: metric["MetricStat"]["Metric"] for name, metric in metrics.items() if "MetricStat" in metric}
    assert {name: metric["MetricName"] for name, metric in told.items()} == {
        "not_started": "ApproximateNumberOfMessagesVisible",
        "broken": "JobCompensated",
        "not_ended": "ExecutionsFailed",
    }
    assert told["not_started"]["Dimensions"][0]["Value"] == {"Fn::GetAtt": ["JobFailures", "QueueName"]}
    assert all(name in metrics["trouble"]["Expression"] for name in told)
