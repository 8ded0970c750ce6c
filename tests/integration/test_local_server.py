"""Starting the local stack, and the one line that says why it does not start."""

import contextlib
import functools
import os
import queue
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from local import banner, http_server
from local.errors import StartError
from local.model_server import Command, ModelServer, command
from local.models.registry import MODALITIES
from local.settings import Settings

PATIENCE_S = 30.0


def test_a_taken_port_is_named_with_a_way_out() -> None:
    with http_server.listen(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError, match=rf"^port {port} is taken; .* make run PORT={port + 1}$"):
            http_server.listen(port)


def test_a_port_that_may_not_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(StartError, match=r"^cannot listen on port 80: Permission denied$"):
        http_server.listen(80)


def test_settings_and_their_defaults() -> None:
    assert Settings.read({}) == Settings(
        8787, None, None, models="", modalities=MODALITIES, log_level="WARNING", free_tier="", time_scale="1"
    )
    environ = {
        "PORT": "0",
        "AIG_DEV_KEY": "sk-aig-x",
        "AIG_DYNAMODB_ENDPOINT": "http://localhost:8000",
        "MODELS": "none",
        "FREE_TIER": "v/m 5 2027-01-31",
        "LOG_LEVEL": "DEBUG",
        "TIME_SCALE": "0.01",
    }
    assert Settings.read(environ) == Settings(
        0,
        "sk-aig-x",
        "http://localhost:8000",
        models="none",
        modalities=(),
        log_level="DEBUG",
        free_tier="v/m 5 2027-01-31",
        time_scale="0.01",
    )
    empty = dict.fromkeys(environ, "")
    assert Settings.read(empty) == Settings.read({})


@pytest.mark.parametrize(
    "environ",
    [{"PORT": "http"}, {"PORT": "-1"}, {"PORT": "65536"}, {"PORT": "²"}, {"MODELS": "no"}, {"FREE_TIER": "m"}],
)
def test_settings_that_mean_nothing_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(StartError, match=r"PORT|MODELS|FREE_TIER"):
        Settings.read(environ)


@pytest.mark.parametrize("scale", ["0", "0.0", "1.5", "2", "-1", "1e-2", "nan", ".", "fast", "0.0000001"])
def test_a_time_scale_that_is_not_above_0_and_up_to_1_is_refused(scale: str) -> None:
    with pytest.raises(StartError, match=r"TIME_SCALE must be a decimal above 0 and up to 1"):
        Settings.read({"TIME_SCALE": scale})


@pytest.mark.parametrize("scale", ["1", "1.0", "0.5", ".01", "0.000001"])
def test_time_scales(scale: str) -> None:
    assert Settings.read({"TIME_SCALE": scale}).time_scale == scale


def test_models_are_chosen_by_modality_or_by_name() -> None:
    chosen = Settings.read({"MODELS": "chat, local/smollm2-135m-instruct,"}).modalities
    assert chosen == (MODALITIES[0],)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StartError, match=r"MODELS has no, .*none.*chat.*smollm2-135m-instruct"):
        Settings.read({"MODELS": "chat,no"})


@pytest.mark.parametrize(("chat", "model"), [(True, banner.REAL_MODEL), (False, banner.SANDBOX_MODEL)])
def test_the_snippets_name_a_model_that_answers(chat: bool, model: str) -> None:
    text = banner.text("http://127.0.0.1:1/v1", "sk-aig-key", chat=chat)
    assert text.count(f'"{model}"') == 2
    python = text[text.index("from openai") :]
    compile(python, "snippet", "exec")


def script(text: str) -> Command:
    return lambda port: (sys.executable, "-c", text)


def unsaid(line: str) -> None:
    raise AssertionError(line)


def test_the_model_server_s_address_is_read_and_its_end_awaited(tmp_path: Path) -> None:
    code = "import time; print('loading'); print('ready http://127.0.0.1:7/v1', flush=True); time.sleep(600)"
    server = ModelServer(tmp_path / "logs" / "models.log", script(code), unsaid)
    server.start()
    assert server.wait(30) == "http://127.0.0.1:7/v1"
    server.stop()
    server.stop()


def test_a_model_server_that_ignores_the_request_to_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.model_server._STOP_SECONDS", 0.1)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready x', flush=True); time.sleep(600)"
    server = ModelServer(tmp_path / "models.log", script(code), unsaid)
    server.start()
    assert server.wait(30) == "x"
    server.stop()


def test_a_model_server_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    server = ModelServer(tmp_path / "models.log", script("import sys; sys.exit('No module named xllamacpp')"), unsaid)
    server.start()
    with pytest.raises(StartError, match=r"code 1: No module named xllamacpp .*MODELS=none") as caught:
        server.wait(30)
    assert "\n" not in str(caught.value)


def test_a_model_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    server = ModelServer(tmp_path / "models.log", script("import time; time.sleep(600)"), unsaid)
    server.start()
    with pytest.raises(StartError, match="did not start within 0 s"):
        server.wait(0)
    server.stop()


def test_stopping_what_was_not_started_is_nothing(tmp_path: Path) -> None:
    ModelServer(tmp_path / "models.log", script(""), unsaid).stop()


def at_once(seconds: float) -> bool:
    return False


def until(done: Callable[[], bool]) -> bool:
    """Whether it came to be in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (is_done := done()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_done


def gone(pid: int) -> bool:
    """Whether nothing is left of a process. A zombie still takes signals."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def harmless(url: str) -> bool:
    """Whether the moderation model behind this URL answers."""
    with contextlib.suppress(httpx.TransportError):
        body = {"model": "lexical-moderation", "input": "Good morning"}
        answer = httpx.post(f"{url}/moderations", json=body, timeout=PATIENCE_S)
        return answer.json()["results"][0]["flagged"] is False
    return False


def pid_of(server: ModelServer) -> int:
    assert server._process is not None
    return server._process.pid


def test_a_killed_model_server_answers_again_at_its_address(tmp_path: Path) -> None:
    said = queue.Queue[str]()
    server = ModelServer(
        tmp_path / "models.log", functools.partial(command, "lexical-moderation"), said.put, pause=at_once
    )
    server.start()
    try:
        url = server.wait(PATIENCE_S)
        assert harmless(url)
        first = pid_of(server)
        os.kill(first, signal.SIGKILL)
        line = said.get(timeout=PATIENCE_S)
        assert gone(first)
        assert until(lambda: harmless(url))
        second = pid_of(server)
    finally:
        server.stop()
    assert line == (f"The model server ended with code -9; it starts again in 1 s (log: {tmp_path / 'models.log'})")
    assert second != first
    assert gone(second)
    assert said.empty()
    assert not harmless(url)


BRIEF = "print('ready http://127.0.0.1:7/v1', flush=True); import sys; sys.exit('out of luck')"


class Pauses:
    """Takes no time for any pause and stops at the last of so many."""

    def __init__(self, most: int) -> None:
        self.taken: list[float] = []
        self._most = most

    def __call__(self, seconds: float) -> bool:
        self.taken.append(seconds)
        return self.over()

    def over(self) -> bool:
        return len(self.taken) == self._most


@pytest.mark.parametrize(
    ("steady", "pauses"), [(60.0, [1, 2, 4, 8, 16, 30, 30]), (0.0, [1, 1, 1])], ids=["at once", "after long service"]
)
def test_the_pauses_grow_until_it_has_served_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steady: float, pauses: list[float]
) -> None:
    monkeypatch.setattr("local.model_server._STEADY_SECONDS", steady)
    waiting, said = Pauses(len(pauses)), list[str]()
    server = ModelServer(tmp_path / "models.log", script(BRIEF), said.append, pause=waiting)
    server.start()
    assert until(waiting.over)
    server.stop()
    assert waiting.taken == pauses
    assert [line.partition(" (")[0] for line in said] == [
        f"The model server ended with code 1; it starts again in {seconds} s" for seconds in pauses
    ]
    assert (tmp_path / "models.log").read_text().splitlines() == ["out of luck"] * len(pauses)


def test_a_stop_between_two_starts_does_not_wait_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.model_server._FIRST_PAUSE_SECONDS", 10 * PATIENCE_S)
    said = queue.Queue[str]()
    server = ModelServer(tmp_path / "models.log", script(BRIEF), said.put)
    server.start()
    said.get(timeout=PATIENCE_S)
    server.stop()
    assert not server._watcher.is_alive()
    assert said.empty()


def test_a_machine_that_starts_nothing_is_asked_again(tmp_path: Path) -> None:
    commands = iter([script(BRIEF)(0), (str(tmp_path / "absent"),), script(BRIEF)(7)])
    ports, said, waiting = list[int](), list[str](), Pauses(3)

    def next_command(port: int) -> tuple[str, ...]:
        ports.append(port)
        return tuple(next(commands))

    server = ModelServer(tmp_path / "models.log", next_command, said.append, pause=waiting)
    server.start()
    assert until(waiting.over)
    server.stop()
    assert ports == [0, 7, 7]
    assert "The model server did not start: No such file or directory; it starts again in 2 s" in said[1]
    assert "ended with code 1; it starts again in 4 s" in said[2]
