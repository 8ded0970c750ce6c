"""Execution environments: threads, event loops, module copies and environment variables."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.functions import (
    Environments,
    LambdaContext,
    environment,
    load_asgi_app,
    load_handler,
    new_context,
    shared_environment,
)
from local.template import Function


def function(name: str = "F", handler: str = "m.handler", **variables: str) -> Function:
    return Function(name, handler, variables, timeout=29, memory=512)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "made_up_family"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("made_up_family")]:
        del sys.modules[name]


def test_a_handler_runs_again_on_the_same_thread_and_loop() -> None:
    seen = []

    def handler(event: object, context: object) -> int:
        seen.append((threading.current_thread().name, asyncio.get_event_loop()))
        return len(seen)

    environments = Environments("F", lambda: handler)
    assert [environments.invoke({}, None).result(20) for _ in range(3)] == [1, 2, 3]
    environments.close()
    assert len(set(seen)) == 1


def test_requests_at_a_time_get_environments_of_their_own_up_to_the_limit() -> None:
    meet = threading.Barrier(2)
    release = threading.Event()
    loaded = []

    def load() -> Any:
        counter: list[object] = []
        loaded.append(counter)

        def handler(event: str, context: object) -> str:
            counter.append(event)
            if event == "meet":
                meet.wait(20)
            elif event == "wait":
                release.wait(20)
            return event

        return handler

    environments = Environments("F", load, limit=2)
    for future in [environments.invoke("meet", None) for _ in range(2)]:
        assert future.result(20) == "meet"
    assert len(loaded) == 2
    busy = [environments.invoke("wait", None) for _ in range(2)]
    third = environments.invoke("later", None)
    assert not third.done()
    release.set()
    assert third.result(20) == "later"
    assert all(future.result(20) == "wait" for future in busy)
    environments.close()
    assert len(loaded) == 2
    assert sum(len(counter) for counter in loaded) == 5


def test_errors_come_back_to_the_caller() -> None:
    def handler(event: object, context: object) -> None:
        raise SystemExit(3)

    environments = Environments("F", lambda: handler)
    assert isinstance(environments.invoke({}, None).exception(20), SystemExit)
    assert isinstance(environments.invoke({}, None).exception(20), SystemExit)
    environments.close()


def test_each_environment_has_its_own_module(package: Path) -> None:
    code = "import os\nNAME = os.environ['WHO']\nSEEN = []\ndef handler(event, context):\n"
    (package / "app.py").write_text(code + "    SEEN.append(event)\n    return NAME, list(SEEN)\n", encoding="utf-8")
    given = function(handler="made_up_family.app.handler", WHO="me")
    first, second = load_handler(given), load_handler(given)
    assert first(1, None) == ("me", [1])
    assert second(2, None) == ("me", [2])
    assert "WHO" not in os.environ


def test_the_asgi_app_is_the_one_that_the_start_script_names(package: Path, tmp_path: Path) -> None:
    (package / "app.py").write_text("app = 'the app'\n", encoding="utf-8")
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nexec ../serve.sh made_up_family.app:app\n", encoding="utf-8")
    assert load_asgi_app(function(handler="run.sh"), tmp_path) == "the app"
    script.write_text("exec node server.js\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"run\.sh"):
        load_asgi_app(function(handler="run.sh"), tmp_path)


def test_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "before")
    monkeypatch.delenv("NOT_THERE", raising=False)
    with environment({"THERE": "now", "NOT_THERE": "now"}):
        assert (os.environ["THERE"], os.environ["NOT_THERE"]) == ("now", "now")
    assert os.environ["THERE"] == "before"
    assert "NOT_THERE" not in os.environ


def test_only_variables_with_one_value_are_shared() -> None:
    functions = {"A": function("A", SAME="1", NAME="a"), "B": function("B", SAME="1", NAME="b", ONLY="b")}
    assert shared_environment(functions) == {"SAME": "1", "ONLY": "b"}


def test_the_context_is_lambda_s() -> None:
    context = new_context(function("Chat"))
    assert isinstance(context, LambdaContext)
    assert context.invoked_function_arn == "arn:aws:lambda:us-east-1:123456789012:function:Chat"
    assert context.log_group_name == "/aws/lambda/Chat"
    assert 28_000 < context.get_remaining_time_in_millis() <= 29_000
    assert LambdaContext("F", 128, deadline_ms=0).get_remaining_time_in_millis() == 0
