"""The template's Step Functions state machines."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.intrinsics import Resolver

_PLACEHOLDER: Final = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Machine:
    """One standard state machine. `definition` is its ASL, nothing left to fill in.

    `functions` has the logical id of every function that it may invoke, by the ARN that its definition has.
    """

    logical_id: str
    name: str
    definition: str
    functions: Mapping[str, str]


def machine(logical_id: str, properties: Mapping[str, Any], resolver: Resolver, root: Path) -> Machine:
    """Reads one AWS::StepFunctions::StateMachine, whose definition is a file under `root`, or inline.

    Raises ValueError for an express machine and for a placeholder that nothing is substituted for.
    """
    if properties.get("StateMachineType", "STANDARD") != "STANDARD":
        raise ValueError(f"{logical_id} is an express machine: only standard ones run locally")
    substitutions: dict[str, str] = {}
    functions: dict[str, str] = {}
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        resolver.referenced.clear()
        substitutions[name] = str(resolver.resolve(value))
        for used in (resolver.behind_alias(used) for used in resolver.referenced):
            if resolver.resources[used]["Type"] == "AWS::Lambda::Function":
                functions[substitutions[name]] = used

    def substitute(match: re.Match[str]) -> str:
        if match[1] not in substitutions:
            raise ValueError(f"the definition of {logical_id} has {match[0]}, which nothing is substituted for")
        return substitutions[match[1]]

    return Machine(
        logical_id=logical_id,
        name=resolver.physical_name(logical_id),
        definition=_PLACEHOLDER.sub(substitute, _definition(properties, resolver, root)),
        functions=functions,
    )


def _definition(properties: Mapping[str, Any], resolver: Resolver, root: Path) -> str:
    if "DefinitionS3Location" in properties:
        # The path that the translation has made an S3 address of.
        return (root / str(properties["DefinitionS3Location"]["Key"])).read_text(encoding="utf-8")
    given = resolver.resolve(properties.get("DefinitionString", properties.get("Definition")))
    return str(given) if isinstance(given, str) else json.dumps(given)
