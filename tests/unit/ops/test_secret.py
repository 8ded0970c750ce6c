"""The operator's commands for the stack's one secret, as they are typed."""

import json
from typing import Any, Final

import boto3
import pytest

from aig import links
from ops.__main__ import main
from ops.secret import provider_key_names, rotate_link_key

NOW: Final = 1_795_000_000


@pytest.fixture
def secrets_manager(dynamodb: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return boto3.client("secretsmanager")


@pytest.fixture
def arn(secrets_manager: Any, request: pytest.FixtureRequest) -> str:
    values = {"pepper": "salt", "OPENAI_API_KEY": "sk-1"}
    made = secrets_manager.create_secret(Name=request.node.name, SecretString=json.dumps(values))
    return str(made["ARN"])


def values(secrets_manager: Any, arn: str) -> dict[str, str]:
    held: dict[str, str] = json.loads(secrets_manager.get_secret_value(SecretId=arn)["SecretString"])
    return held


def test_links_of_the_key_of_the_pepper_open_after_the_first_rotation(secrets_manager: Any, arn: str) -> None:
    rotate_link_key(arn, NOW)
    held = values(secrets_manager, arn)
    assert (held["pepper"], held["OPENAI_API_KEY"]) == ("salt", "sk-1")
    keys = links.keys_in_use(held["link_key"], held["link_key_before"], held["link_key_from"], NOW)
    assert keys[0] == links.link_key("salt")  # for now: not all functions know the other
    later = links.keys_in_use(held["link_key"], held["link_key_before"], held["link_key_from"], NOW + links.SWITCH_S)
    assert later == keys[::-1]


def test_a_second_rotation_ends_what_the_first_has_left(secrets_manager: Any, arn: str) -> None:
    rotate_link_key(arn, NOW)
    first = values(secrets_manager, arn)["link_key"]
    with pytest.raises(ValueError, match="wait 1 seconds"):
        rotate_link_key(arn, NOW + links.SWITCH_S - 1)
    assert values(secrets_manager, arn)["link_key"] == first
    rotate_link_key(arn, NOW + links.SWITCH_S)
    held = values(secrets_manager, arn)
    assert held["link_key_before"] == first != held["link_key"]


def test_as_it_is_typed(
    secrets_manager: Any, arn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rotate-link-key"]) == 1
    assert "say which secret" in capsys.readouterr().err
    monkeypatch.setenv("AIG_SECRET_ARN", arn)
    assert main(["rotate-link-key"]) == 0
    held = values(secrets_manager, arn)
    assert len(held["link_key"]) == 64
    assert held["link_key"] not in "".join(capsys.readouterr())
    assert main(["rotate-link-key"]) == 1
    assert "the last rotation is not over" in capsys.readouterr().err
    assert provider_key_names(arn) == ["OPENAI_API_KEY"]
