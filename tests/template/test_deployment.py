"""samconfig.toml and the deploy page agree with the template."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from local.template import ROOT, Stack
from ops.stack import environment

CONFIG: Mapping[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
ENVIRONMENTS = ("default", "staging", "prod")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_sets_parameters_that_exist(stack: Stack, name: str) -> None:
    declared = stack.translated["Parameters"]
    overrides = dict(pair.split("=", 1) for pair in CONFIG[name]["deploy"]["parameters"]["parameter_overrides"].split())
    assert overrides.keys() <= declared.keys()
    for parameter, value in overrides.items():
        allowed = declared[parameter].get("AllowedValues")
        assert allowed is None or value in {str(item) for item in allowed}
        assert re.fullmatch(declared[parameter].get("AllowedPattern", ".*"), value)


def test_environments_do_not_share_a_stack() -> None:
    stacks = [CONFIG[name]["global"]["parameters"]["stack_name"] for name in ENVIRONMENTS]
    assert len(set(stacks)) == len(ENVIRONMENTS)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_deploy_asks_before_it_changes_anything(name: str) -> None:
    parameters = CONFIG[name]["deploy"]["parameters"]
    assert parameters["confirm_changeset"] is True
    # Roles without names of their own: CAPABILITY_NAMED_IAM would be more than the template needs.
    assert parameters["capabilities"] == "CAPABILITY_IAM"


def test_the_deploy_page_names_every_parameter_and_output(stack: Stack) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    assert stack.translated["Parameters"].keys() <= named
    assert stack.translated["Outputs"].keys() <= named


def test_the_operators_commands_find_all_they_need_in_the_outputs(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = [{"OutputKey": name, "OutputValue": f"the {name}"} for name in stack.translated["Outputs"]]

    class Described:
        def describe_stacks(self, StackName: str) -> Mapping[str, Any]:  # noqa: N803 as boto3 has it
            return {"Stacks": [{"StackName": StackName, "Outputs": outputs}]}

    monkeypatch.setattr("boto3.client", lambda name: Described())
    found = environment("aigateway-dev")
    assert found["AIG_CORE_TABLE"] == "the CoreTable"
    for kind in ("Job", "Webhook"):
        told = [found[f"AIG_{kind.upper()}_{end}"] for end in ("QUEUE", "FAILURES")]
        assert told == [f"the {kind}Queue", f"the {kind}Failures"]
