"""Starting the local stack, and the one line that says why it does not start."""

import socket
import sys
from pathlib import Path

import pytest

from local import banner, http_server
from local.errors import StartError
from local.model_server import ModelServer
from local.models.registry import MODALITIES
from local.settings import Settings


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
        8787, None, None, models="", modalities=MODALITIES, log_level="WARNING", free_tier=""
    )
    environ = {
        "PORT": "0",
        "AIG_DEV_KEY": "sk-aig-x",
        "AIG_DYNAMODB_ENDPOINT": "http://localhost:8000",
        "MODELS": "none",
        "FREE_TIER": "v/m 5 2027-01-31",
        "LOG_LEVEL": "DEBUG",
    }
    assert Settings.read(environ) == Settings(
        0,
        "sk-aig-x",
        "http://localhost:8000",
        models="none",
        modalities=(),
        log_level="DEBUG",
        free_tier="v/m 5 2027-01-31",
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


def script(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def test_the_model_server_s_address_is_read_and_its_end_awaited(tmp_path: Path) -> None:
    code = "import time; print('loading'); print('ready http://127.0.0.1:7/v1', flush=True); time.sleep(600)"
    server = ModelServer(tmp_path / "logs" / "models.log", script(code))
    server.start()
    assert server.wait(30) == "http://127.0.0.1:7/v1"
    server.stop()
    server.stop()


def test_a_model_server_that_ignores_the_request_to_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.model_server._STOP_SECONDS", 0.1)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready x', flush=True); time.sleep(600)"
    server = ModelServer(tmp_path / "models.log", script(code))
    server.start()
    assert server.wait(30) == "x"
    server.stop()


def test_a_model_server_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    server = ModelServer(tmp_path / "models.log", script("import sys; sys.exit('No module named xllamacpp')"))
    server.start()
    with pytest.raises(StartError, match=r"code 1: No module named xllamacpp .*MODELS=none") as caught:
        server.wait(30)
    assert "\n" not in str(caught.value)


def test_a_model_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    server = ModelServer(tmp_path / "models.log", script("import time; time.sleep(600)"))
    server.start()
    with pytest.raises(StartError, match="did not start within 0 s"):
        server.wait(0)
    server.stop()


def test_stopping_what_was_not_started_is_nothing(tmp_path: Path) -> None:
    ModelServer(tmp_path / "models.log", script("")).stop()
