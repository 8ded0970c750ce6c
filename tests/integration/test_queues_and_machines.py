"""Messages and executions as AWS's services take them: their emulation reads the same JSON as they do."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import boto3
import pytest

from aig import wiring
from aig.aws.json_api import AwsError, JsonApi
from aig.aws.machines import StateMachine
from aig.aws.queue import SqsQueue
from aig.ports import StoreBusy

_ROLE = "arn:aws:iam::123456789012:role/machine"
_ENDS = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


@pytest.fixture
def env(dynamodb: str) -> Mapping[str, str]:
    """Both services at the embedded AWS."""
    return {
        "AIG_SQS_ENDPOINT": dynamodb,
        "AIG_STATES_ENDPOINT": dynamodb,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


@pytest.fixture
async def queue(env: Mapping[str, str], dynamodb: str, request: pytest.FixtureRequest) -> AsyncIterator[SqsQueue]:
    made = boto3.client("sqs", endpoint_url=dynamodb).create_queue(QueueName=request.node.name[:80])
    opened = wiring.queue("URL", {**env, "URL": made["QueueUrl"]})
    yield opened
    await opened.close()


def received(dynamodb: str, queue: SqsQueue) -> list[str]:
    client = boto3.client("sqs", endpoint_url=dynamodb)
    found: list[str] = []
    while messages := client.receive_message(QueueUrl=queue._url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return found


async def test_a_message_arrives_as_json(queue: SqsQueue, dynamodb: str) -> None:
    await queue.send({"tenant": "acct_1", "job_id": "job_1"})
    assert received(dynamodb, queue) == ['{"tenant":"acct_1","job_id":"job_1"}']


async def test_messages_of_a_tenant_are_of_its_group(queue: SqsQueue, dynamodb: str) -> None:
    """SQS keeps one tenant's many messages from being in the way of others'."""
    await queue.send({"tenant": "acct_1"})
    await queue.send_all([{"tenant": "acct_1"}, {"tenant": "acct_2"}, {"nobodys": True}])
    client = boto3.client("sqs", endpoint_url=dynamodb)
    messages = client.receive_message(QueueUrl=queue._url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    groups = [message["Attributes"].get("MessageGroupId") for message in messages]
    assert sorted(map(str, groups)) == ["None", "acct_1", "acct_1", "acct_2"]


async def test_a_message_may_be_held_back(queue: SqsQueue, dynamodb: str) -> None:
    await queue.send({"later": True}, delay_s=900)
    assert received(dynamodb, queue) == []


async def test_more_than_a_batch_holds_arrive_all(queue: SqsQueue, dynamodb: str) -> None:
    await queue.send_all([{"n": n} for n in range(23)])
    assert sorted(json.loads(text)["n"] for text in received(dynamodb, queue)) == list(range(23))


async def test_a_queue_that_is_not_there_is_nobodys_moment(env: Mapping[str, str]) -> None:
    opened = wiring.queue("URL", {**env, "URL": "http://sqs.us-east-1.amazonaws.com/123456789012/gone"})
    with pytest.raises(AwsError):
        await opened.send({})
    await opened.close()


async def test_a_message_that_was_not_taken_is_brought_again(queue: SqsQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(*_: Any) -> dict[str, Any]:
        return {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}

    monkeypatch.setattr(JsonApi, "call", call)
    with pytest.raises(StoreBusy, match="InternalError"):
        await queue.send_all([{}])


async def test_a_machine_that_is_not_there_is_nobodys_moment(env: Mapping[str, str]) -> None:
    gone = "arn:aws:states:us-east-1:123456789012:stateMachine:gone"
    opened = wiring.machine("ARN", {**env, "ARN": gone})
    with pytest.raises(AwsError):
        await opened.start("name", {})
    await opened.close()


@pytest.fixture
async def machine(env: Mapping[str, str], dynamodb: str, request: pytest.FixtureRequest) -> AsyncIterator[StateMachine]:
    client = boto3.client("stepfunctions", endpoint_url=dynamodb)
    made = client.create_state_machine(name=request.node.name[:80], definition=_ENDS, roleArn=_ROLE)
    opened = wiring.machine("ARN", {**env, "ARN": made["stateMachineArn"]})
    yield opened
    await opened.close()


async def test_an_execution_is_started_once_by_its_name(machine: StateMachine, dynamodb: str) -> None:
    assert await machine.start("job_1", {"tenant": "acct_1"})
    assert not await machine.start("job_1", {"tenant": "acct_2"})
    assert await machine.start("job_2", {"tenant": "acct_1"})
    client = boto3.client("stepfunctions", endpoint_url=dynamodb)
    found = client.list_executions(stateMachineArn=machine._arn)["executions"]
    assert sorted(execution["name"] for execution in found) == ["job_1", "job_2"]
    (first,) = [execution for execution in found if execution["name"] == "job_1"]
    assert client.describe_execution(executionArn=first["executionArn"])["input"] == '{"tenant":"acct_1"}'


async def test_services_out_of_reach_are_busy() -> None:
    env = {"AIG_SQS_ENDPOINT": "http://127.0.0.1:9", "AIG_STATES_ENDPOINT": "http://127.0.0.1:9"}
    with pytest.raises(StoreBusy):
        await wiring.queue("URL", env).send({})
    with pytest.raises(StoreBusy):
        await wiring.machine("ARN", env).start("name", {})


@pytest.mark.parametrize(("text", "scale"), [("", 1.0), ("0.01", 0.01), ("1", 1.0)])
def test_time_may_pass_faster_on_ones_own_machine(text: str, scale: float) -> None:
    assert wiring.time_scale({"AIG_TIME_SCALE": text}) == scale


@pytest.mark.parametrize("text", ["0", "-1", "2", "nan", "fast"])
def test_time_cannot_stand_still_or_go_slower(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wiring.time_scale({"AIG_TIME_SCALE": text})
