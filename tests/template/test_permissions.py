"""Least privilege: the exact actions of every function on exact resources, so that a widened policy fails here."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

Resources = Mapping[str, Mapping[str, Any]]

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
XRAY = "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess"

TABLE = "CoreTable.Arn"
REQUESTS = "RequestsTable.Arn"
INDEX = "${CoreTable.Arn}/index/expiry"
CACHE = "CacheTable.Arn"
ANSWERS = "${CacheBucket.Arn}/cache/*"
UPLOADED = "${MediaBucket.Arn}/uploads/*"
MADE = "${MediaBucket.Arn}/media/*"
LIST_ANSWERS = ("s3:ListBucket", "CacheBucket.Arn")  # without it S3 answers 403, not 404, for what is not there
SECRET = "Secret"
FAILURES = "SweeperFailures.Arn"
JOBS = "JobQueue.Arn"
USAGE = "UsageTable.Arn"
STREAM = "CoreTable.StreamArn"
WEBHOOKS = "WebhookQueue.Arn"
RECEIVES = ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
# By its name: the machine names the function that may start it.
MACHINE = "arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:stateMachine:${{AWS::StackName}}-{}"
# ListStreams tells of all streams of a table; Lambda makes no event source mapping without it.
STREAMS = "${CoreTable.Arn}/stream/*"
# Model ids are data, and an inference profile calls its model in regions of its own choice.
BEDROCK = (
    "arn:${AWS::Partition}:bedrock:*::foundation-model/*",
    "arn:${AWS::Partition}:bedrock:*:${AWS::AccountId}:inference-profile/*",
)
INVOKE = ("InvokeModel", "InvokeModelWithResponseStream")

METERED = {
    ("dynamodb:PutItem", REQUESTS),
    ("dynamodb:GetItem", TABLE),
    ("dynamodb:PutItem", TABLE),
    ("dynamodb:Query", TABLE),
    ("dynamodb:UpdateItem", TABLE),
    *((f"dynamodb:{action}", CACHE) for action in ("GetItem", "PutItem", "UpdateItem")),
    *((f"s3:{action}", ANSWERS) for action in ("GetObject", "PutObject")),
    LIST_ANSWERS,
    ("secretsmanager:GetSecretValue", SECRET),
}
LOOKS_AT_FILES = {("s3:GetObject", UPLOADED), ("s3:ListBucket", "MediaBucket.Arn")}
ALLOWED: Mapping[str, set[tuple[str, str]]] = {
    "ChatFunctionRole": {
        *METERED,
        *((f"bedrock:{action}", where) for action in INVOKE for where in BEDROCK),
    },
    "EmbeddingsFunctionRole": {
        *METERED,
        *(("bedrock:InvokeModel", where) for where in BEDROCK),
    },
    "TextFunctionRole": METERED,
    **{f"{family}FunctionRole": {*METERED, *LOOKS_AT_FILES} for family in ("Audio", "Vision")},
    "ImagesFunctionRole": {*METERED, *LOOKS_AT_FILES, ("s3:PutObject", MADE)},
    "FilesFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("s3:GetObject", MADE),
        ("s3:ListBucket", "MediaBucket.Arn"),
        ("s3:PutObject", UPLOADED),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "GenerationsFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("s3:GetObject", UPLOADED),
        ("s3:ListBucket", "MediaBucket.Arn"),
        ("s3:PutObject", UPLOADED),
        ("secretsmanager:GetSecretValue", SECRET),
        ("sqs:SendMessage", JOBS),
    },
    "JobsFunctionRole": {
        ("dynamodb:DeleteItem", TABLE),
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "JobWorkerFunctionRole": {
        ("dynamodb:DeleteItem", TABLE),
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", REQUESTS),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("s3:AbortMultipartUpload", MADE),
        ("s3:GetObject", MADE),
        ("s3:GetObject", UPLOADED),
        ("s3:ListBucket", "MediaBucket.Arn"),
        ("s3:PutObject", MADE),
        ("secretsmanager:GetSecretValue", SECRET),
        ("sqs:DeleteMessage", JOBS),
        ("sqs:GetQueueAttributes", JOBS),
        ("sqs:ReceiveMessage", JOBS),
        ("states:StartExecution", MACHINE.format("job")),
    },
    "JobMachineRole": {("lambda:InvokeFunction", "JobWorkerFunction.Arn")},
    "ModelsFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "AccountsFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "RequestsFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:GetItem", REQUESTS),
        ("dynamodb:Query", REQUESTS),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "PaymentsFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "RollupFunctionRole": {
        ("dynamodb:DescribeStream", STREAM),
        ("dynamodb:GetRecords", STREAM),
        ("dynamodb:GetShardIterator", STREAM),
        ("dynamodb:ListStreams", STREAMS),
        ("dynamodb:PutItem", USAGE),
        ("dynamodb:UpdateItem", USAGE),
        ("sqs:SendMessage", "RollupFailures.Arn"),
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
    },
    "DispatcherFunctionRole": {
        ("dynamodb:DescribeStream", STREAM),
        ("dynamodb:GetRecords", STREAM),
        ("dynamodb:GetShardIterator", STREAM),
        ("dynamodb:ListStreams", STREAMS),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("sqs:SendMessage", "DispatcherFailures.Arn"),
        ("sqs:SendMessage", WEBHOOKS),
    },
    "WebhookWorkerFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("secretsmanager:GetSecretValue", SECRET),
        *((f"sqs:{action}", WEBHOOKS) for action in (*RECEIVES, "SendMessage")),
        ("states:StartExecution", MACHINE.format("webhook")),
    },
    "WebhookMachineRole": {("lambda:InvokeFunction", "WebhookWorkerFunction.Arn")},
    "WebhooksFunctionRole": {
        ("dynamodb:DeleteItem", TABLE),
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("secretsmanager:GetSecretValue", SECRET),
        ("sqs:SendMessage", WEBHOOKS),
    },
    "DriftFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", TABLE),
        ("sqs:SendMessage", FAILURES),
    },
    "UsageFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:Query", USAGE),
        ("secretsmanager:GetSecretValue", SECRET),
    },
    "SummaryFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", USAGE),
        ("sqs:SendMessage", FAILURES),
    },
    "SweeperFunctionRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:Query", INDEX),
        ("dynamodb:UpdateItem", TABLE),
        ("sqs:SendMessage", FAILURES),
        ("sqs:SendMessage", JOBS),
        ("sqs:SendMessage", WEBHOOKS),
    },
}
MANAGED = {
    "ChatFunctionRole": [BASIC, XRAY],
    "EmbeddingsFunctionRole": [BASIC, XRAY],
    **{f"{family}FunctionRole": [BASIC, XRAY] for family in ("Audio", "Files", "Images", "Text", "Vision")},
    **{f"{family}FunctionRole": [BASIC, XRAY] for family in ("Generations", "Jobs", "JobWorker")},
    "JobMachineRole": [],
    "ModelsFunctionRole": [BASIC, XRAY],
    "AccountsFunctionRole": [BASIC, XRAY],
    "RequestsFunctionRole": [BASIC, XRAY],
    "PaymentsFunctionRole": [BASIC, XRAY],
    "DispatcherFunctionRole": [BASIC],
    "DriftFunctionRole": [BASIC],
    "WebhookWorkerFunctionRole": [BASIC],
    "WebhookMachineRole": [],
    "WebhooksFunctionRole": [BASIC, XRAY],
    "RollupFunctionRole": [BASIC],
    "SummaryFunctionRole": [BASIC],
    "SweeperFunctionRole": [BASIC],
    "UsageFunctionRole": [BASIC, XRAY],
}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _where(resource: Mapping[str, Any]) -> str:
    ((function, argument),) = resource.items()
    return ".".join(argument) if function == "Fn::GetAtt" else str(argument)


def _switched_on(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A statement, also one that only a parameter brings in."""
    if "Fn::If" not in entry:
        return entry
    condition, statement, otherwise = entry["Fn::If"]
    assert condition == "HasBedrock"
    assert otherwise == {"Ref": "AWS::NoValue"}
    switched_on: Mapping[str, Any] = statement
    return switched_on


def _grants(role: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for policy in role["Properties"]["Policies"]:
        for entry in policy["PolicyDocument"]["Statement"]:
            statement = _switched_on(entry)
            assert statement.keys() == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    assert not isinstance(resource, str), "a literal resource is a wildcard or another stack's"
                    yield action, _where(resource)


def test_there_is_a_role_per_function_and_no_other(resources: Resources) -> None:
    roles = {name for name, r in resources.items() if r["Type"] == "AWS::IAM::Role"}
    assert roles == ALLOWED.keys()
    assert not any(r["Type"] in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} for r in resources.values())


@pytest.mark.parametrize("role", sorted(ALLOWED))
def test_a_role_may_do_exactly_this(resources: Resources, role: str) -> None:
    grants = sorted(_grants(resources[role]))
    assert grants == sorted(ALLOWED[role])
    assert not any(
        "*" in action or ("*" in where and where not in (*BEDROCK, ANSWERS, MADE, STREAMS, UPLOADED))
        for action, where in grants
    )


@pytest.mark.parametrize("role", sorted(ALLOWED))
def test_managed_policies_are_logs_and_traces_only(resources: Resources, role: str) -> None:
    assert resources[role]["Properties"].get("ManagedPolicyArns", []) == MANAGED[role]


@pytest.mark.parametrize("role", sorted(ALLOWED))
def test_only_the_service_that_it_is_for_takes_the_role(resources: Resources, role: str) -> None:
    (statement,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    service = "states" if role.endswith("MachineRole") else "lambda"
    assert statement["Principal"] == {"Service": [f"{service}.amazonaws.com"]}


def test_only_this_api_and_this_rule_invoke_the_functions(resources: Resources) -> None:
    permissions = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::Permission"]
    by_service = {permission["Principal"] for permission in permissions}
    assert by_service == {"apigateway.amazonaws.com", "events.amazonaws.com"}
    for permission in permissions:
        assert permission["Action"] == "lambda:InvokeFunction"
        assert permission["SourceArn"]
