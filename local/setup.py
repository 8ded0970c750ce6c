"""Makes .venv from uv.lock, so that python3 and make are all that a fresh machine needs.

`python3 -I local/setup.py PURPOSE` with run, test, check, bench, build or ops installs the dependency groups of that
purpose; MODELS=none leaves the local models out of run. It needs nothing but the standard library. A stamp in .venv
remembers what is installed, so that a second start has nothing to do.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".aigateway-setup"
UV_HOME = ROOT / ".uv"
CACHE = ROOT / ".cache"
LOG = CACHE / "setup.log"

UV_VERSION = "0.13.9"
# Older ones cannot read the lock file.
UV_AT_LEAST = (0, 9)
INDEX = "https://pypi.org/simple"
OLDEST, NEWEST = (3, 11), (3, 13)
PURPOSES = ("run", "test", "check", "bench", "build", "ops")

_LINK = re.compile(r'href="([^"]+)"')
# What uv draws around its messages.
_BOX = " \u251c\u2570\u2502\u2500\u25b6\u00d7\t"


class SetupError(Exception):
    """The message is one line: what failed and why."""


def main(arguments: list[str]) -> int:
    """Installs what the purpose needs; returns the exit code."""
    try:
        purpose = arguments[0] if arguments else ""
        if purpose not in PURPOSES:
            raise SetupError(f"say what for: {', '.join(PURPOSES)}")
        python = find_python()
        if not supported():
            os.execv(python, [python, "-I", __file__, purpose])
        with one_at_a_time():
            install(wanted_groups(purpose, os.environ), python)
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; the next start goes on from here", file=sys.stderr)
        return 130
    return 0


def supported() -> bool:
    """Whether the gateway runs on this interpreter."""
    return OLDEST <= sys.version_info[:2] <= NEWEST


def find_python() -> str:
    """An interpreter that the gateway runs on: this one, else the newest fitting one on PATH."""
    if supported():
        # Not the one of an activated environment: uv may replace that environment.
        return str(getattr(sys, "_base_executable", None) or sys.executable)
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    raise SetupError(
        f"Python 3.11, 3.12 or 3.13 is needed; {sys.executable} is {platform.python_version()} and none of them is on "
        "PATH. Install one, or name one: make PYTHON=/path/to/python3.13 ..."
    )


def wanted_groups(purpose: str, environ: Mapping[str, str]) -> set[str]:
    """The dependency groups of pyproject.toml that a purpose needs."""
    import tomllib  # From 3.11 on; the lines before it run on older ones too, to say so.

    with (ROOT / "pyproject.toml").open("rb") as file:
        default = set(tomllib.load(file)["tool"]["uv"]["default-groups"])
    if purpose == "run":
        return {"local"} | model_groups(environ.get("MODELS", ""))
    if purpose in ("build", "ops"):
        return {"local", "sam"} if purpose == "build" else {"local"}
    return default | {"check": {"sam"}, "bench": {"bench"}}.get(purpose, set())


def model_groups(wanted: str) -> set[str]:
    """The dependency groups of the local models that MODELS asks for."""
    # The registry wants a newer Python than this script starts on, as tomllib does.
    from local.models import registry

    try:
        return registry.groups(registry.choose(wanted))
    except registry.UnknownModelError as error:
        raise SetupError(str(error)) from error


def install(groups: set[str], python: str) -> None:
    """Brings .venv to the locked versions of these groups and those installed before."""
    lock = hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()
    installed = read_stamp()
    if installed is not None and installed["lock"] == lock and groups <= set(installed["groups"]):
        return
    if installed is not None:
        groups = groups | set(installed["groups"])
    began = time.monotonic()
    uv = find_uv() or install_uv(python)
    say(
        f"installing the locked packages into .venv (groups: {', '.join(sorted(groups))}); the first time takes minutes"
    )
    STAMP.unlink(missing_ok=True)
    selected = [part for group in sorted(groups) for part in ("--group", group)]
    # Inexact: what somebody has added to the environment by hand stays.
    sync([uv, "sync", "--frozen", "--inexact", "--no-default-groups", *selected], python)
    STAMP.write_text(json.dumps({"lock": lock, "groups": sorted(groups)}), encoding="utf-8")
    say(f"done in {time.monotonic() - began:.0f} s")


def read_stamp() -> dict[str, Any] | None:
    """What .venv holds, or None when it has to be made (again)."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        complete = {"lock", "groups"} <= set(stamp)
    except (OSError, ValueError):
        return None
    return stamp if complete and (VENV / "bin" / "python").exists() else None


def sync(command: list[str], python: str) -> None:
    """Runs uv, showing its lines as they come; on failure says why in one line."""
    environ = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environ.update(
        UV_COMPILE_BYTECODE="1",
        UV_PROJECT_ENVIRONMENT=str(VENV),
        UV_PYTHON=python,
        UV_PYTHON_DOWNLOADS="never",
    )
    lines = []
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    with LOG.open("w", encoding="utf-8") as log, process:
        for line in process.stdout:
            log.write(line)
            lines.append(line.strip(_BOX + "\n"))
            if not line.startswith((" + ", " - ", " ~ ")):
                print(f"  {line.rstrip()}", file=sys.stderr, flush=True)
    if process.returncode != 0:
        raise SetupError(f"the packages could not be installed: {reason(lines)} (log: {LOG})")


def reason(lines: list[str]) -> str:
    """The first complaint in uv's output and its last cause."""
    said = [line for line in lines if line and not line.startswith("hint:")]
    first = next((line for line in said if line.startswith(("error:", "Failed", "No solution"))), "uv failed")
    causes = [line.removeprefix("cause:").strip() for line in said[said.index(first) + 1 :]] if first in said else said
    return ": ".join([first.removeprefix("error:").strip(), *causes[-1:]])


def find_uv() -> str | None:
    """uv on PATH or from an earlier setup, if it is new enough."""
    for candidate in (shutil.which("uv"), str(UV_HOME / "bin" / "uv")):
        if candidate and Path(candidate).exists():
            shown = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            version = re.search(r"(\d+)\.(\d+)", shown)
            if version and (int(version[1]), int(version[2])) >= UV_AT_LEAST:
                return candidate
    return None


def install_uv(python: str) -> str:
    """Puts uv into .uv: by pip, or, where Python comes without it (Debian without python3-venv), from the index."""
    say(f"installing uv {UV_VERSION} into .uv")
    shutil.rmtree(UV_HOME, ignore_errors=True)
    uv = UV_HOME / "bin" / "uv"
    pip = [str(UV_HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([python, "-m", "venv", str(UV_HOME)], [*pip, f"uv=={UV_VERSION}"]):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            break
    if not uv.exists():
        shutil.rmtree(UV_HOME, ignore_errors=True)
        say("pip is not available; fetching uv from the package index")
        fetch_uv(uv)
    return str(uv)


def fetch_uv(target: Path) -> None:
    """Downloads uv's wheel, checks it against the index's SHA-256 and unpacks the program."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or INDEX
    page_url = f"{index.rstrip('/')}/uv/"
    page = download(page_url).decode("utf-8", errors="replace")
    links = [urljoin(page_url, link) for link in _LINK.findall(page)]
    url, fragment = urldefrag(pick_wheel(links))
    wheel = download(url)
    if fragment != f"sha256={hashlib.sha256(wheel).hexdigest()}":
        raise SetupError(f"{url} is not what the index says it is (SHA-256)")
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        program = archive.read(f"uv-{UV_VERSION}.data/scripts/uv")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(program)
    target.chmod(0o755)


def pick_wheel(links: list[str]) -> str:
    """The link of the wheel for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        tag = rf"macosx_\d+_\d+_{'arm64' if machine == 'aarch64' else machine}"
    else:
        libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
        tag = rf"{libc}_\d+_\d+_{machine}"
    wheel = re.compile(rf"/uv-{re.escape(UV_VERSION)}-py3-none-[^/]*{tag}[^/]*\.whl")
    for link in links:
        if wheel.search(link):
            return link
    raise SetupError(f"the index has no uv {UV_VERSION} for {sys.platform} {machine}; install uv by hand")


def download(url: str) -> bytes:
    """The bytes at an https address. OpenSSL honours SSL_CERT_FILE."""
    if not url.startswith("https://"):
        raise SetupError(f"{url} is not https")
    try:
        with urllib.request.urlopen(url, timeout=120) as response:
            content: bytes = response.read()
    except OSError as error:
        raise SetupError(f"cannot download {url}: {error}") from error
    return content


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keeps a second setup out until the first is done."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Tells what is going on."""
    print(f"setup: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.path.append(str(ROOT))
    sys.exit(main(sys.argv[1:]))
