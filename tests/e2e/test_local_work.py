"""A stack of its own template in a process of its own: message, function, state machine, function, dead letters."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import work_template

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
WORKER = """
import json, os, boto3

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:" + os.environ["WORK_MACHINE"]
SEEN = os.environ["SEEN"]


def handler(event, context):
    if "Records" not in event:
        with open(SEEN, "a") as seen:
            seen.write(json.dumps(event | {"scale": os.environ["AIG_TIME_SCALE"]}) + "\\n")
        return event
    failed = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        with open(SEEN, "a") as seen:
            seen.write(json.dumps({"received": body["name"]}) + "\\n")
        if body["name"] == "poison":
            failed.append({"itemIdentifier": record["messageId"]})
            continue
        states = boto3.client("stepfunctions", endpoint_url=os.environ["AIG_STATES_ENDPOINT"])
        states.start_execution(stateMachineArn=ARN, name=body["name"], input=record["body"])
    return {"batchItemFailures": failed}
"""
RUN = """
import os, pathlib, sys
from local.server import run
from local.settings import Settings

def seed(secret_key):
    # Runs when everything is there, and before anything is served.
    import boto3, json
    sqs = boto3.client("sqs", endpoint_url=os.environ["AIG_SQS_ENDPOINT"])
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/aigateway-WorkQueue"
    for name in ("one", "poison", "two"):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"name": name, "delay": 0}))
    return "sk-aig-none"

run(Settings.read(os.environ), pathlib.Path(sys.argv[1]), seed)
"""


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the function of a running stack has seen so far."""
    template = work_template.write(tmp_path)
    (tmp_path / "worker_of_the_test.py").write_text(WORKER, encoding="utf-8")
    path = tmp_path / "seen"
    path.touch()
    variables = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "shared"), str(ROOT / "layers/providers")]),
        "PORT": "0",
        "MODELS": "none",
        "TIME_SCALE": "0.5",
        "SEEN": str(path),
    }
    command = [sys.executable, "-c", RUN, str(template)]
    with (tmp_path / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=log, stderr=log)
        yield lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
        log.seek(0)
        said = log.read()
        assert said.count("aigateway-WorkQueue keeps message") == 2, said
        assert "Traceback" not in said, said


def test_a_message_starts_an_execution_and_poison_is_put_aside(seen: Callable[[], list[dict[str, Any]]]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(seen()) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    received = [row["received"] for row in seen() if "received" in row]
    assert sorted(received) == ["one", "poison", "poison", "two"]
    worked = sorted((row for row in seen() if "received" not in row), key=lambda row: str(row["name"]))
    assert worked == [{"name": name, "delay": 0, "scale": "0.5"} for name in ("one", "two")]
