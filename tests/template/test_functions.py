"""Runtime, layers, environment, logs and limits of every function."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.template import ROOT, Stack

Functions = Mapping[str, Mapping[str, Any]]
Resources = Mapping[str, Mapping[str, Any]]

FAMILIES = {
    "AccountsFunction": "accounts",
    "RequestsFunction": "requests",
    "ChatFunction": "chat",
    "EmbeddingsFunction": "embeddings",
    "ImagesFunction": "images",
    "AudioFunction": "audio",
    "TextFunction": "text",
    "VisionFunction": "vision",
    "FilesFunction": "files",
    "GenerationsFunction": "generations",
    "JobsFunction": "jobs",
    "JobWorkerFunction": "jobworker",
    "ModelsFunction": "models",
    "PaymentsFunction": "payments",
    "DispatcherFunction": "dispatcher",
    "DriftFunction": "drift",
    "RollupFunction": "rollup",
    "SummaryFunction": "summary",
    "SweeperFunction": "sweeper",
    "UsageFunction": "usage",
    "WebhooksFunction": "webhooks",
    "WebhookWorkerFunction": "webhookworker",
}
TAKE_FILES = {"ImagesFunction", "AudioFunction", "VisionFunction"}
HAVE_FILES = {"FilesFunction", "GenerationsFunction", "JobWorkerFunction"}
MACHINE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}"
OF_THEIR_OWN = {
    "ImagesFunction": {"AIG_MEDIA_URL": {"Ref": "MediaUrl"}},
    "GenerationsFunction": {"AIG_JOB_QUEUE": {"Ref": "JobQueue"}, "AIG_MEDIA_URL": {"Ref": "MediaUrl"}},
    "SweeperFunction": {"AIG_JOB_QUEUE": {"Ref": "JobQueue"}, "AIG_WEBHOOK_QUEUE": {"Ref": "WebhookQueue"}},
    # The machine names the function: by its own reference each would wait for the other.
    "JobWorkerFunction": {"AIG_JOB_MACHINE": {"Fn::Sub": f"{MACHINE}-job"}},
    "DispatcherFunction": {"AIG_WEBHOOK_QUEUE": {"Ref": "WebhookQueue"}},
    "WebhooksFunction": {"AIG_WEBHOOK_QUEUE": {"Ref": "WebhookQueue"}},
    "WebhookWorkerFunction": {
        "AIG_WEBHOOK_QUEUE": {"Ref": "WebhookQueue"},
        "AIG_WEBHOOK_MACHINE": {"Fn::Sub": f"{MACHINE}-webhook"},
    },
}
BEHIND_WEB_ADAPTER = {"ChatFunction", "EmbeddingsFunction", "TextFunction"} | TAKE_FILES
LAYERS = ("DependenciesLayer", "ProvidersLayer", "SharedLayer")
ENVIRONMENT = {
    "AIG_CORE_TABLE",
    "AIG_FREE_TIER",
    "AIG_REQUESTS_TABLE",
    "AIG_SECRET_ARN",
    "AIG_STAGE",
    "AIG_USAGE_TABLE",
    "POWERTOOLS_LOG_LEVEL",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
}
CACHE = {
    "AIG_CACHE_TABLE": {"Ref": "CacheTable"},
    "AIG_CACHE_BUCKET": {"Ref": "CacheBucket"},
    "AIG_CACHE_HOURS": {"Ref": "CacheHours"},
}
WEB_ADAPTER = {
    "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
    "AWS_LWA_INVOKE_MODE": "response_stream",
    "AWS_LWA_PORT": "8080",
    "AWS_LWA_READINESS_CHECK_PROTOCOL": "tcp",
}


def test_the_families_are_these(functions: Functions) -> None:
    assert functions.keys() == FAMILIES.keys()


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
class TestEveryFunction:
    def test_runtime(self, functions: Functions, name: str, family: str) -> None:
        assert functions[name]["Runtime"] == "python3.13"
        assert functions[name]["Architectures"] == ["arm64"]

    def test_the_handler_is_in_the_family_folder(self, functions: Functions, name: str, family: str) -> None:
        handler = functions[name]["Handler"]
        if name in BEHIND_WEB_ADAPTER:
            assert handler == f"functions/{family}/run.sh"
        else:
            assert handler == f"functions.{family}.app.handler"
            handler = f"functions/{family}/app.py"
        assert (ROOT / handler).is_file()

    def test_layers(self, functions: Functions, name: str, family: str) -> None:
        layers = functions[name]["Layers"]
        own = [layer["Ref"] for layer in layers if "Ref" in layer]
        assert len(own) == len(LAYERS)
        # The translator appends a hash of the layer to its logical id.
        assert all(found.startswith(wanted) for found, wanted in zip(own, LAYERS, strict=True))
        adapter = [layer for layer in layers if "Ref" not in layer]
        wanted = "arn:${AWS::Partition}:lambda:${AWS::Region}:${WebAdapterLayer}"
        assert adapter == ([{"Fn::Sub": wanted}] if name in BEHIND_WEB_ADAPTER else [])

    def test_environment(self, functions: Functions, name: str, family: str) -> None:
        variables = functions[name]["Environment"]["Variables"]
        own = WEB_ADAPTER.keys() | CACHE.keys() if name in BEHIND_WEB_ADAPTER else set()
        files = {"AIG_MEDIA_BUCKET"} if name in TAKE_FILES | HAVE_FILES else set()
        others = OF_THEIR_OWN.get(name, {})
        assert variables.keys() == ENVIRONMENT | own | files | others.keys()
        assert {key: variables[key] for key in others} == others
        assert all(variables[key] == {"Ref": "MediaBucket"} for key in files)
        assert {key: variables[key] for key in CACHE if key in own} == (CACHE if own else {})
        assert variables["AIG_CORE_TABLE"] == {"Ref": "CoreTable"}
        assert variables["AIG_USAGE_TABLE"] == {"Ref": "UsageTable"}
        assert variables["AIG_SECRET_ARN"] == {"Ref": "Secret"}
        assert variables["POWERTOOLS_SERVICE_NAME"] == family
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "AIgateway"

    def test_its_logs_expire(self, functions: Functions, resources: Resources, name: str, family: str) -> None:
        logging = functions[name]["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        group = resources[logging["LogGroup"]["Ref"]]
        assert group["Type"] == "AWS::Logs::LogGroup"
        assert group["Properties"]["LogGroupName"] == {"Fn::Sub": "/aws/lambda/${AWS::StackName}/" + family}
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_memory_and_timeouts(stack: Stack) -> None:
    limits = {name: (function.memory, function.timeout) for name, function in stack.functions.items()}
    assert limits == {
        "AccountsFunction": (1024, 29),
        "ChatFunction": (1024, 900),
        "EmbeddingsFunction": (1024, 900),
        "ImagesFunction": (1024, 900),
        "AudioFunction": (1024, 900),
        "TextFunction": (1024, 900),
        "VisionFunction": (1024, 900),
        "FilesFunction": (1024, 29),
        "GenerationsFunction": (1024, 29),
        "JobsFunction": (1024, 29),
        "JobWorkerFunction": (1024, 900),
        "ModelsFunction": (1024, 29),
        "RequestsFunction": (1024, 29),
        "PaymentsFunction": (1024, 29),
        "DispatcherFunction": (512, 60),
        "DriftFunction": (256, 600),
        "RollupFunction": (512, 120),
        "SummaryFunction": (256, 600),
        "SweeperFunction": (256, 55),
        "UsageFunction": (1024, 29),
        "WebhooksFunction": (1024, 29),
        "WebhookWorkerFunction": (512, 45),
    }


def test_http_functions_are_traced_and_those_that_run_all_day_cost_no_traces(functions: Functions) -> None:
    traced = {name: f.get("TracingConfig", {}).get("Mode") for name, f in functions.items()}
    untraced = {
        "DispatcherFunction",
        "DriftFunction",
        "RollupFunction",
        "SummaryFunction",
        "SweeperFunction",
        "WebhookWorkerFunction",
    }
    assert traced == {name: None if name in untraced else "Active" for name in FAMILIES}


@pytest.mark.parametrize("name", sorted(BEHIND_WEB_ADAPTER))
def test_what_streams_runs_behind_the_web_adapter(functions: Functions, name: str) -> None:
    variables = functions[name]["Environment"]["Variables"]
    assert {key: variables[key] for key in WEB_ADAPTER} == WEB_ADAPTER


def test_the_layers_are_for_the_functions(resources: Resources) -> None:
    layers = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::LayerVersion"]
    assert len(layers) == len(LAYERS)
    for layer in layers:
        assert layer["CompatibleRuntimes"] == ["python3.13"]
        assert layer["CompatibleArchitectures"] == ["arm64"]


def test_the_sweeper_runs_every_minute_and_is_done_before_the_next(stack: Stack) -> None:
    every = {schedule.function: schedule.every for schedule in stack.schedules}
    assert every == {"SweeperFunction": 60, "SummaryFunction": 15 * 60, "DriftFunction": 3600}
    assert all(stack.functions[name].timeout < (seconds or 0) for name, seconds in every.items())


def test_a_failed_sweep_is_kept_and_not_repeated(resources: Resources) -> None:
    config = resources["SweeperFunctionEventInvokeConfig"]["Properties"]
    assert config["MaximumRetryAttempts"] == 0
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["SweeperFailures", "Arn"]}
    assert resources["SweeperFailures"]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600


class TestTheRollUp:
    def test_only_debits_that_are_written_wake_it(self, stack: Stack) -> None:
        (mapping,) = (mapping for mapping in stack.streams if mapping.name == "RollupMapping")
        assert (mapping.function, mapping.from_the_start) == ("RollupFunction", True)
        assert mapping.filters == ({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["debit"]}}}},)

    def test_it_reads_the_stream_of_the_ledger(self, resources: Resources) -> None:
        mapping = resources["RollupMapping"]["Properties"]
        assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["CoreTable", "StreamArn"]}
        assert mapping["BatchSize"] == 100

    def test_accounts_do_not_wait_for_each_other(self, resources: Resources) -> None:
        assert resources["RollupMapping"]["Properties"]["ParallelizationFactor"] == 10

    def test_one_bad_record_holds_up_nothing_but_itself(self, resources: Resources) -> None:
        mapping = resources["RollupMapping"]["Properties"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BisectBatchOnFunctionError"] is True
        assert 100 <= mapping["MaximumRetryAttempts"] <= 10_000  # Lambda's own is without end

    def test_what_is_given_up_is_kept_and_told(self, resources: Resources) -> None:
        mapping = resources["RollupMapping"]["Properties"]
        assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["RollupFailures", "Arn"]}
        assert resources["RollupFailures"]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
        metrics = {metric["Id"]: metric for metric in resources["RollupAlarm"]["Properties"]["Metrics"]}
        told = {name: metric["MetricStat"]["Metric"] for name, metric in metrics.items() if "MetricStat" in metric}
        assert {name: metric["MetricName"] for name, metric in told.items()} == {
            "behind": "IteratorAge",
            "given_up": "ApproximateNumberOfMessagesVisible",
            "unreadable": "DebitUnreadable",
        }
        assert told["given_up"]["Dimensions"][0]["Value"] == {"Fn::GetAtt": ["RollupFailures", "QueueName"]}
        assert all(name in metrics["missing"]["Expression"] for name in told)


@pytest.mark.parametrize(("name", "failures"), [("Drift", 1), ("Summary", 1), ("Sweeper", 3)])
def test_a_schedule_that_fails_or_stops_is_told(resources: Resources, name: str, failures: int) -> None:
    alarm = resources[f"{name}Alarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/Lambda", "Errors", "Sum")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}]
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (failures, "breaching")


def test_no_function_reserves_concurrency_unasked(functions: Functions) -> None:
    """A new account may run ten executions at once and cannot reserve any of them."""
    reserved = {name: function.get("ReservedConcurrentExecutions") for name, function in functions.items()}
    assert {name: value for name, value in reserved.items() if value} == {
        f"{kind}WorkerFunction": {
            "Fn::If": [f"Has{kind}Concurrency", {"Ref": f"{kind}Concurrency"}, {"Ref": "AWS::NoValue"}]
        }
        for kind in ("Job", "Webhook")
    }


def test_access_logs_expire(resources: Resources) -> None:
    group = resources["AccessLogGroup"]
    assert group["Condition"] == "HasAccessLogs"
    assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_alarms_are_asked_for(resources: Resources) -> None:
    paid = {name for name, r in resources.items() if r["Type"] in {"AWS::CloudWatch::Alarm", "AWS::SNS::Topic"}}
    alarms = {"Drift", "GatewayErrors", "Job", "Payment", "ProviderKey", "Rollup", "Summary", "Sweeper", "Webhook"}
    assert paid == {"AlarmTopic", *(f"{name}Alarm" for name in alarms)}
    assert {resources[name]["Condition"] for name in paid} == {"HasAlarms"}
