"""Who may import whom, and what each function loads before its first request."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

CONTRACTS = {"aig", "aiohttp", "boto", "families", "fastapi", "mangum", "providers", "pure", "rooms"}
PATHS = os.pathsep.join(str(ROOT / folder) for folder in (".", "shared", "layers/providers"))

# Imports a family in a fresh interpreter that cannot connect or start anything, and prints what was loaded.
_PROBE = """
import json, sys
def refuse(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        raise RuntimeError(f"{event} at import")
sys.addaudithook(refuse)
import importlib
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(sys.modules)))
"""

FAMILIES = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))
# Packages that must not be loaded, by the family that must not load them.
HEAVY = {"boto3", "botocore", "moto", "httpx", "requests", "openai", "pytest", "hypothesis", "yaml", "local", "ops"}
NOT_LOADED = {
    "accounts": HEAVY | {"aig_providers", "aiohttp", "uvicorn", "aig.stream"},
    "chat": HEAVY | {"mangum"},
    "embeddings": HEAVY | {"mangum", "aig.stream"},
    "audio": HEAVY | {"mangum", "aig.stream"},
    "generations": HEAVY | {"uvicorn", "aig.stream"},
    "jobs": HEAVY | {"aig_providers", "aiohttp", "uvicorn", "aig.stream"},
    "jobworker": HEAVY | {"aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
    "files": HEAVY | {"aig_providers", "aiohttp", "uvicorn", "aig.stream"},
    "images": HEAVY | {"mangum", "aig.stream"},
    "text": HEAVY | {"mangum", "aig.stream"},
    "vision": HEAVY | {"mangum", "aig.stream"},
    "models": HEAVY | {"aiohttp", "uvicorn", "aig.stream"},
    "requests": HEAVY | {"aig_providers", "aiohttp", "uvicorn", "aig.stream"},
    "payments": HEAVY | {"aiohttp", "uvicorn", "aig.stream"},
    "rollup": HEAVY
    | {"aig_providers", "aiohttp", "aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
    "usage": HEAVY | {"aig_providers", "aiohttp", "uvicorn", "aig.stream"},
    "summary": HEAVY
    | {"aig_providers", "aiohttp", "aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
    "dispatcher": HEAVY
    | {"aig_providers", "aiohttp", "aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
    "drift": HEAVY
    | {"aig_providers", "aiohttp", "aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
    "webhooks": HEAVY | {"aig_providers", "aiohttp", "uvicorn", "aig.stream"},
    "webhookworker": HEAVY | {"aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
    "sweeper": HEAVY
    | {"aig_providers", "aiohttp", "aig.http", "fastapi", "mangum", "starlette", "uvicorn", "aig.stream"},
}
ADAPTERS = {
    "accounts": set[str](),
    "chat": {"aig_providers.registry", "aig_providers.sse", "aig_providers.wire"},
    "embeddings": {"aig_providers.registry", "aig_providers.sse", "aig_providers.wire"},
    **{
        family: {"aig_providers.fetch", "aig_providers.registry", "aig_providers.sse", "aig_providers.wire"}
        for family in ("audio", "images", "text", "vision")
    },
    "files": set[str](),
    "generations": {"aig_providers.fetch", "aig_providers.registry", "aig_providers.sse", "aig_providers.wire"},
    "jobs": set[str](),
    "jobworker": {f"aig_providers.{module}" for module in ("fetch", "registry", "results", "sse", "wire")},
    "models": {"aig_providers.registry"},
    "requests": set[str](),
    "payments": {"aig_providers.payments"},
    "rollup": set[str](),
    "summary": set[str](),
    "sweeper": set[str](),
    "usage": set[str](),
    "dispatcher": set[str](),
    "drift": set[str](),
    "webhooks": set[str](),
    "webhookworker": {"aig_providers.fetch"},
}


def test_the_import_contracts_are_kept() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert "0 broken" in lint.stdout


def test_no_contract_has_gone_missing() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract.get("id") for contract in table["contracts"]} >= CONTRACTS
    (inside,) = [contract for contract in table["contracts"] if contract.get("id") == "aig"]
    assert inside["exhaustive"]
    assert "ignore_imports" not in inside


@pytest.fixture(params=FAMILIES, scope="module")
def family(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def loaded(family: str) -> set[str]:
    """The modules that are there once a fresh interpreter has imported the family."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": PATHS, "PYTHONDONTWRITEBYTECODE": "1"}
    # Mangum asks for the current event loop when it is made: Python 3.12 and 3.13 warn of that, and go on.
    warnings = ["-W", "error", "-W", "ignore:There is no current event loop:DeprecationWarning"]
    command = [sys.executable, *warnings, "-c", _PROBE, f"functions.{family}.app"]
    probe = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert probe.returncode == 0, probe.stderr
    return set(json.loads(probe.stdout))


def test_every_family_is_in_the_tables() -> None:
    assert set(FAMILIES) == NOT_LOADED.keys() == ADAPTERS.keys()


def test_a_family_loads_nothing_that_it_does_not_need(family: str, loaded: set[str]) -> None:
    assert not NOT_LOADED[family] & loaded


def test_a_family_loads_no_other_family(family: str, loaded: set[str]) -> None:
    others = {module.split(".")[1] for module in loaded if module.startswith("functions.")} - {family}
    assert not others


def test_adapters_are_loaded_when_they_are_first_needed(family: str, loaded: set[str]) -> None:
    assert {module for module in loaded if module.startswith("aig_providers.")} == ADAPTERS[family]
