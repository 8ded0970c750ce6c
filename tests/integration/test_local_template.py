"""The translated template as the local stack reads it."""

import json
from pathlib import Path

import pytest

from local.intrinsics import Resolver
from local.machine_resources import Machine
from local.queue_resources import Queue, QueueMapping
from local.template import StreamMapping, load, rate_seconds
from tests import work_template

HEAD = "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::Serverless-2016-10-31\n"

SMALL = (
    HEAD
    + """
Parameters:
  Stage: {Type: String, Default: v9}
  Loud: {Type: String, Default: 'no'}
Conditions:
  IsLoud: !Equals [!Ref Loud, 'yes']
Globals:
  Function:
    Runtime: python3.13
    CodeUri: functions/
    Timeout: 29
    Environment:
      Variables:
        TABLE: !Ref Things
        SECRET: !Ref Secret
        SECRET_TOO: !Sub '${Secret}#x'
        STAGE: !Ref Stage
        LOUD: !If [IsLoud, shout, whisper]
        ARN: !GetAtt Things.Arn
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: !Ref Stage
      BinaryMediaTypes: [image~1png]
      GatewayResponses:
        THROTTLED:
          StatusCode: 429
          ResponseParameters: {Headers: {Retry-After: "'1'"}}
          ResponseTemplates: {application/json: '{"slow":"down"}'}
  Talk:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions/talk/run.sh
      Timeout: 900
      AutoPublishAlias: live
      Environment: {Variables: {ONLY: talk}}
      Events:
        One:
          Type: Api
          Properties:
            RestApiId: !Ref Api
            Path: /talk
            Method: ANY
            ResponseTransferMode: RESPONSE_STREAM
            TimeoutInMillis: 60000
        Misspelt:
          Type: Api
          Properties: {RestApiId: !Ref Api, Path: /talk2, Method: POST, ResponseTransferMode: STREAM}
  Tick:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.tick.app.handler
      Events:
        Rule: {Type: Schedule, Properties: {Schedule: rate(5 minutes), Input: '{"a": 1}'}}
        Nightly: {Type: ScheduleV2, Properties: {ScheduleExpression: 'cron(0 2 * * ? *)'}}
        Off: {Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: false}}
  Reads:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref Tick
      EventSourceArn: !GetAtt Things.StreamArn
      StartingPosition: TRIM_HORIZON
      BatchSize: 7
      MaximumBatchingWindowInSeconds: 5
      FilterCriteria: {Filters: [{Pattern: '{"eventName":["INSERT"]}'}]}
      FunctionResponseTypes: [ReportBatchItemFailures]
      BisectBatchOnFunctionError: true
      MaximumRetryAttempts: 2
  ReadsPlainly:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !GetAtt Tick.Arn, EventSourceArn: !GetAtt Things.StreamArn, StartingPosition: LATEST}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {}}}
"""
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_routes_streaming_timeouts_and_the_function_behind_an_alias(small: Path) -> None:
    routes = {route.path: route for route in load(small).routes}
    assert (routes["/talk"].method, routes["/talk"].streaming, routes["/talk"].timeout) == ("ANY", True, 60.0)
    assert routes["/talk"].function == "Talk"
    # SAM buffers on any spelling but RESPONSE_STREAM.
    assert (routes["/talk2"].method, routes["/talk2"].streaming, routes["/talk2"].timeout) == ("POST", False, 29.0)


def test_environment_is_resolved_and_what_names_a_secret_is_left_out(small: Path) -> None:
    function = load(small).functions["Talk"]
    assert function.environment == {
        "TABLE": "aigateway-Things",
        "STAGE": "v9",
        "LOUD": "whisper",
        "ARN": "arn:aws:dynamodb:us-east-1:123456789012:table/aigateway-Things",
        "ONLY": "talk",
    }
    assert (function.timeout, function.memory) == (900, 128)


def test_parameters_can_be_overridden(small: Path) -> None:
    stack = load(small, {"Stage": "test", "Loud": "yes"})
    assert stack.stage == "test"
    assert stack.functions["Talk"].environment["LOUD"] == "shout"


def test_tables_carry_what_boto3_needs(small: Path) -> None:
    (table,) = load(small).tables
    assert table.definition == {
        "TableName": "aigateway-Things",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    }
    assert table.ttl_attribute == "ttl"


def test_schedules_of_both_kinds_without_the_disabled_one(small: Path) -> None:
    schedules = {schedule.expression: schedule for schedule in load(small).schedules}
    assert set(schedules) == {"rate(5 minutes)", "cron(0 2 * * ? *)"}
    rate = schedules["rate(5 minutes)"]
    assert (rate.function, rate.every, rate.input) == ("Tick", 300.0, '{"a": 1}')
    assert schedules["cron(0 2 * * ? *)"].every is None


def test_streams_as_their_mappings_say(small: Path) -> None:
    mappings = {mapping.name: mapping for mapping in load(small).streams}
    assert mappings == {
        "Reads": StreamMapping(
            "Reads", "Tick", "aigateway-Things", from_the_start=True, batch=7, window=5.0,
            filters=({"eventName": ["INSERT"]},), reports_failures=True, bisects=True, retries=2,
        ),
        "ReadsPlainly": StreamMapping(
            "ReadsPlainly", "Tick", "aigateway-Things", from_the_start=False, batch=100, window=0.0,
            filters=(), reports_failures=False, bisects=False, retries=None,
        ),
    }  # fmt: skip


def test_a_mapping_that_reads_neither_table_nor_queue_is_named(small: Path) -> None:
    topic = "  Topic: {Type: AWS::SNS::Topic}\n"
    text = SMALL.replace("FunctionName: !Ref Tick\n      EventSourceArn: !GetAtt Things.StreamArn", (
        "FunctionName: !Ref Tick\n      EventSourceArn: !Ref Topic"
    ))  # fmt: skip
    small.write_text(text + topic, encoding="utf-8")
    with pytest.raises(ValueError, match="Reads reads"):
        load(small)


def test_queues_their_mappings_and_machines(tmp_path: Path) -> None:
    stack = load(work_template.write(tmp_path))
    assert stack.queues == (
        Queue("WorkQueue", "aigateway-WorkQueue", 1, 3600, dead_letters="aigateway-dead", most_receives=2),
        Queue("DeadLetters", "aigateway-dead", 30, 345_600, dead_letters=None, most_receives=None),
    )
    assert stack.queue_mappings == (
        QueueMapping(
            "WorkerWork", "Worker", "aigateway-WorkQueue", batch=5, window=0.0, reports_failures=True, concurrency=2
        ),
    )
    arn = "arn:aws:lambda:us-east-1:123456789012:function:aigateway-Worker"
    definition = work_template.MACHINE.replace("${WorkerArn}", arn)
    assert stack.machines == (Machine("WorkMachine", "aigateway-work", definition, {arn: "Worker"}),)
    assert stack.streams == ()
    assert stack.functions["Worker"].environment == {
        "WORK_QUEUE": "https://sqs.us-east-1.amazonaws.com/123456789012/aigateway-WorkQueue",
        "WORK_MACHINE": "aigateway-work",
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("MessageRetentionPeriod: 3600", "FifoQueue: true", "WorkQueue is a FIFO queue"),
        ("Enabled: false", "FilterCriteria: {Filters: [{Pattern: '{}'}]}", "WorkerFailures filters messages"),
        ("Type: STANDARD", "Type: EXPRESS", "WorkMachine is an express machine"),
        ("WorkerArn: !GetAtt", "Other: !GetAtt", r"WorkMachine has \$\{WorkerArn\}, which nothing"),
        ("Queue: !GetAtt WorkQueue.Arn", "Queue: arn:aws:sqs:us-east-1:1:x", "should name one resource"),
    ],
)
def test_what_queues_and_machines_cannot_be_locally_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    template = work_template.write(tmp_path)
    assert old in work_template.TEMPLATE
    template.write_text(work_template.TEMPLATE.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        load(template)


def test_a_machine_may_have_its_definition_inline(tmp_path: Path) -> None:
    template = work_template.write(tmp_path)
    inline = "Definition: {StartAt: A, States: {A: {Type: Task, Resource: '${WorkerArn}', End: true}}}"
    text = template.read_text(encoding="utf-8").replace("DefinitionUri: statemachines/work.asl.json", inline)
    template.write_text(text, encoding="utf-8")
    (machine,) = load(template).machines
    assert json.loads(machine.definition)["States"]["A"]["Resource"].endswith(":function:aigateway-Worker")


def test_gateway_responses_and_binary_types(small: Path) -> None:
    stack = load(small)
    throttled = stack.gateway_responses["THROTTLED"]
    assert (throttled.status, throttled.headers, throttled.body) == (429, {"Retry-After": "'1'"}, '{"slow":"down"}')
    assert stack.binary_media_types == ("image/png",)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60.0),
        ("rate(2 hours)", 7200.0),
        ("rate(1 day)", 86400.0),
        ("cron(* * * * ? *)", None),
        ("rate(soon)", None),
    ],
)
def test_rates(expression: str, seconds: float | None) -> None:
    assert rate_seconds(expression) == seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Fn::Join": ["-", ["a", {"Ref": "P"}]]}, "a-p"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "x,y"]}]}, "y"),
        ({"Fn::FindInMap": ["M", "k", "v"]}, "mapped"),
        ({"Fn::Sub": ["${x}/${!y}/${AWS::Region}", {"x": {"Ref": "P"}}]}, "p/${y}/us-east-1"),
        ({"Fn::If": ["Yes", "a", "b"]}, "a"),
        ({"Fn::If": ["No", "a", {"Ref": "AWS::NoValue"}]}, None),
        ([{"Ref": "AWS::NoValue"}, 1], [1]),
        ({"keep": 1, "drop": {"Ref": "AWS::NoValue"}}, {"keep": 1}),
        ({"Fn::GetAtt": "Q.Arn"}, "arn:aws:sqs:us-east-1:123456789012:named"),
        ({"Fn::GetAtt": ["Q", "QueueName"]}, "named"),
        ({"Ref": "Q"}, "https://sqs.us-east-1.amazonaws.com/123456789012/named"),
        ({"Ref": "M"}, "arn:aws:states:us-east-1:123456789012:stateMachine:aigateway-job"),
        ({"Fn::GetAtt": "M.Arn"}, "arn:aws:states:us-east-1:123456789012:stateMachine:aigateway-job"),
        ({"Fn::GetAtt": "M.Name"}, "aigateway-job"),
        (
            {"Fn::Sub": "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${M.Name}:*"},
            "arn:aws:states:us-east-1:123456789012:execution:aigateway-job:*",
        ),
    ],
)
def test_intrinsic_functions(value: object, expected: object) -> None:
    resolver = Resolver(
        resources={
            "Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "named"}},
            "M": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"StateMachineName": {"Fn::Sub": "${AWS::StackName}-job"}},
            },
        },
        parameters={"P": "p"},
        conditions={
            "Yes": {"Fn::And": [{"Fn::Not": [{"Condition": "No"}]}, {"Fn::Or": [False, True]}]},
            "No": {"Fn::Equals": ["a", "b"]},
        },
        mappings={"M": {"k": {"v": "mapped"}}},
    )
    resolved = resolver.resolve([value]) if expected is None else resolver.resolve(value)
    assert resolved == ([] if expected is None else expected)


@pytest.mark.parametrize("value", [{"Fn::ImportValue": "x"}, {"Ref": "Nobody"}, {"Fn::GetAtt": "Nobody.Arn"}])
def test_what_it_does_not_know_is_named(value: object) -> None:
    with pytest.raises(ValueError, match=r"ImportValue|Nobody"):
        Resolver(resources={}, parameters={}).resolve(value)


def test_the_repository_s_template_loads() -> None:
    stack = load()
    assert stack.routes
    assert all(route.function in stack.functions for route in stack.routes)
    assert all(schedule.function in stack.functions for schedule in stack.schedules)
    assert {table.logical_id for table in stack.tables} == {"CacheTable", "CoreTable", "RequestsTable", "UsageTable"}
    assert all(mapping.function in stack.functions for mapping in stack.streams)
    assert {bucket.name for bucket in stack.buckets} == {"aigateway-mediabucket", "aigateway-cachebucket"}
