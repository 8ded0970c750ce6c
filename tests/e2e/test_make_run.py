"""`make run` as a person uses it: start, paste what it prints, Ctrl-C; and what it says when it cannot start."""

import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Self

import httpx
import pytest
from typing_extensions import override

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "sk-aig-testkey1" + "a1B2" * 9
START_SECONDS = 100.0
# make itself dies of the signal, as the shell expects of it.
STOPPED = (0, 130, -signal.SIGINT)

pytestmark = pytest.mark.timeout(300)


class MakeRun:
    """One `make run` in a process group of its own, as a terminal has it. `said` is its output so far."""

    def __init__(self, **variables: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIG_", "MAKE", "MFLAGS"))}
        # A run of our own and not the one of the tests: no coverage, no pretended AWS.
        environ = {name: value for name, value in environ.items() if not name.startswith(("COV_", "AWS_"))}
        self.process = subprocess.Popen(
            ["make", "run", f"PYTHON={sys.executable}"],
            cwd=ROOT,
            env=environ | {"PORT": "0", "MODELS": "none"} | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, pattern: str) -> str:
        """Reads on to a line with the pattern and returns the pattern's first group. Fails when the output ends."""
        while (line := self._lines.get(timeout=START_SECONDS)) is not None:
            self.said += line
            if match := re.search(pattern, line):
                return match[match.lastindex or 0]
        raise AssertionError(f"{pattern!r} was not said:\n{self.said}")

    def end(self) -> int:
        """Reads to the end of the output and returns make's exit code."""
        while (line := self._lines.get(timeout=START_SECONDS)) is not None:
            self.said += line
        return self.process.wait(30)

    def interrupt(self) -> int:
        """Ctrl-C: the whole foreground group gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves nothing behind, whatever happened."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Running(MakeRun):
    """A `make run` that serves from the moment its `with` block begins."""

    base_url = ""
    key = ""

    @override
    def __enter__(self) -> Self:
        try:
            self.base_url = self.until(r"Base URL +(\S+)")
            self.key = self.until(r"API key +(\S+)")
            self.until(r"^print\(\)")
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def curl(self) -> str:
        """The curl snippet."""
        start = self.said.index("curl -N")
        return self.said[start : self.said.index("\n\n", start)]

    @property
    def python(self) -> str:
        """The Python snippet."""
        start = self.said.index("from openai")
        return self.said[start : self.said.index("print()", start) + len("print()")]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(AIG_DEV_KEY=KEY) as running:
        yield running


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_prints_where_it_serves_and_the_key_it_was_given(gateway: Running) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", gateway.base_url)
    assert gateway.key == KEY


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_snippet_streams(gateway: Running) -> None:
    done = subprocess.run(["sh", "-c", gateway.curl], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("data: ")
    assert done.stdout.rstrip().endswith("data: [DONE]")


def test_the_python_snippet_prints_the_answer(gateway: Running) -> None:
    assert run_python(gateway.python).strip() == "echo: What is the capital of France?"


def test_the_wallet_goes_down_by_what_the_calls_cost(gateway: Running) -> None:
    with httpx.Client(base_url=gateway.base_url, headers={"authorization": f"Bearer {gateway.key}"}) as client:
        before = Decimal(client.get("/wallet").json()["balance"])
        assert before <= 10
        body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two three"}]}
        costs = [Decimal(client.post("/chat/completions", json=body).headers["x-aig-cost"]) for _ in range(10)]
        after = client.get("/wallet").json()
    assert sum(costs) > 0
    assert before - Decimal(after["balance"]) == sum(costs)
    assert Decimal(after["in_flight"]) == 0


def test_models_are_found_raw_and_encoded_and_unknown_paths_get_our_404(gateway: Running) -> None:
    with httpx.Client(base_url=gateway.base_url) as client:
        for path in ("/models/sandbox/echo", "/models/sandbox%2Fecho"):
            answer = client.get(path)
            assert (answer.status_code, answer.json().get("id")) == (200, "sandbox/echo"), path
        answer = client.get("/nothing/here")
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "not_found_error"
        assert client.head(f"{gateway.base_url.removesuffix('/v1')}/").status_code == 200


def test_a_second_start_on_the_port_says_so_in_one_line(gateway: Running) -> None:
    port = gateway.base_url.split(":")[2].removesuffix("/v1")
    with MakeRun(PORT=port) as second:
        assert second.end() != 0
    lines = [line for line in second.said.splitlines() if not line.startswith("make: ***")]
    assert lines == [f"make run: port {port} is taken; choose another one, like: make run PORT={int(port) + 1}"]


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"PORT": "http"}, "PORT must be a number from 0 to 65535"),
        ({"AIG_DEV_KEY": "hunter2"}, "AIG_DEV_KEY is not a key"),
        ({"AIG_DYNAMODB_ENDPOINT": "http://127.0.0.1:9"}, "DynamoDB at http://127.0.0.1:9 does not work"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(variables: dict[str, str], reason: str) -> None:
    with MakeRun(**variables) as failed:
        assert failed.end() != 0
    (line,) = [line for line in failed.said.splitlines() if line.startswith("make run: ")]
    assert reason in line
    assert "Traceback" not in failed.said


def test_an_unknown_model_stops_it_before_anything_is_installed() -> None:
    with MakeRun(MODELS="some") as failed:
        assert failed.end() != 0
    (line,) = [line for line in failed.said.splitlines() if not line.startswith("make: ***")]
    assert line.startswith("setup: MODELS has some, which is not known here.")
    assert "smollm2-135m-instruct" in line


def test_another_dynamodb_keeps_account_and_balance_between_starts(dynamodb_local: str) -> None:
    variables = {"AIG_DYNAMODB_ENDPOINT": dynamodb_local, "AIG_DEV_KEY": KEY.replace("testkey1", "testkey2")}
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}
    balances = []
    for _ in range(2):
        with Running(**variables) as running:
            headers = {"authorization": f"Bearer {running.key}"}
            with httpx.Client(base_url=running.base_url, headers=headers) as client:
                balances.append(Decimal(client.get("/wallet").json()["balance"]))
                cost = Decimal(client.post("/chat/completions", json=body).headers["x-aig-cost"])
            running.interrupt()
    assert balances == [10, 10 - cost]


def test_ctrl_c_ends_everything_also_in_the_middle_of_a_stream() -> None:
    body = {"model": "sandbox/slow", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with contextlib.ExitStack() as cleanup:
        running = cleanup.enter_context(Running())
        assert running.key.startswith("sk-aig-")
        headers = {"authorization": f"Bearer {running.key}"}
        client = cleanup.enter_context(httpx.Client(base_url=running.base_url, headers=headers, timeout=60))
        answer = cleanup.enter_context(client.stream("POST", "/chat/completions", json=body))
        assert answer.status_code == 200
        assert running.interrupt() in STOPPED
    assert "Traceback" not in running.said
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", httpx.URL(running.base_url).port)) != 0


def test_ctrl_c_before_it_serves_is_as_quiet() -> None:
    with MakeRun() as starting:
        starting.until("Reading template.yaml")
        assert starting.interrupt() in STOPPED
    assert "Traceback" not in starting.said
    assert "AIgateway is running" not in starting.said


def test_sigterm_to_make_ends_it_too() -> None:
    with Running() as running:
        running.process.terminate()
        running.end()
    assert "Traceback" not in running.said
    assert "Stopping" in running.said


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_the_local_model_answers_and_ends_with_the_rest() -> None:
    with Running(MODELS="") as running:
        assert "Paris" in run_python(running.python)
        (stack,) = children(running.process.pid)
        (models,) = children(stack)
        assert running.interrupt() in STOPPED
    assert "Traceback" not in running.said
    assert not alive(models)


def children(parent: int) -> list[int]:
    """The process ids of a process's children."""
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    return [pid for pid, of in pairs if of == parent]


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return subprocess.run(["ps", "-p", str(pid)], capture_output=True, check=False).returncode == 0
