"""The chat function's entry script, run as Lambda Web Adapter's bootstrap runs it, with a small app in its place."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from local.template import ROOT

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("seen")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"first ", "more_body": True})
    await send({"type": "http.response.body", "body": b"second"})
"""
PATIENCE_SECONDS = 30


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_it_listens(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("run.sh did not listen")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A port and the process that run.sh became."""
    family = tmp_path / "functions" / "chat"
    family.mkdir(parents=True)
    (family.parent / "__init__.py").touch()
    (family / "__init__.py").touch()
    (family / "app.py").write_text(APP, encoding="utf-8")
    shutil.copy(ROOT / "functions" / "chat" / "run.sh", family)
    shutil.copy(ROOT / "functions" / "serve.sh", family.parent)
    port = _free_port()
    process = subprocess.Popen(
        ["functions/chat/run.sh"],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "LAMBDA_TASK_ROOT": str(tmp_path),
            "AWS_LWA_PORT": str(port),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait_until_it_listens(port, process)
        yield port, process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_it_serves_the_app_and_keeps_its_connection(running: tuple[int, subprocess.Popen[str]]) -> None:
    port, _ = running
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for _attempt in range(2):
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"first second")
            assert answer.headers["server"] is None
            assert answer.headers["connection"] != "close"
    finally:
        connection.close()


def test_it_logs_nothing_but_what_the_app_prints_and_stops_when_told(
    running: tuple[int, subprocess.Popen[str]],
) -> None:
    port, process = running
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    assert process.stdout is not None
    # The line comes while the process lives: its output is not buffered.
    assert process.stdout.readline() == "seen\n"
    connection.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) in {0, -signal.SIGTERM}
    assert process.stdout.read() == ""
