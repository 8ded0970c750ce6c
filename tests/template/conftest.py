"""template.yaml, translated once: what `sam deploy` would hand to CloudFormation."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.template import Stack, load

Resource = Mapping[str, Any]


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The template with its parameters' defaults."""
    return load()


@pytest.fixture(scope="session")
def resources(stack: Stack) -> Mapping[str, Resource]:
    """Logical id -> plain CloudFormation resource."""
    found: Mapping[str, Resource] = stack.translated["Resources"]
    return found


@pytest.fixture(scope="session")
def functions(resources: Mapping[str, Resource]) -> Mapping[str, Resource]:
    """Logical id -> the properties of every Lambda function."""
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::Lambda::Function"}


@pytest.fixture(scope="session")
def body(resources: Mapping[str, Resource]) -> Mapping[str, Any]:
    """The OpenAPI document of the REST API."""
    found: Mapping[str, Any] = resources["Api"]["Properties"]["Body"]
    return found
