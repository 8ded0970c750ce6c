"""The `openai` package for Node, from the lock file of tests/e2e/node, and the programs of the tests that use it."""

import shutil
from pathlib import Path
from typing import Final

from tests.downloads import CACHE, npm, one_at_a_time, program

SOURCE: Final = Path(__file__).parent / "e2e" / "node"
FILES: Final = ("package.json", "package-lock.json", "client.mjs", "matrix.mjs")


def node_project() -> Path:
    """The files of node/ with the packages of its lock file installed beside them."""
    program("node")
    target = CACHE / "node"
    with one_at_a_time(target):
        installed = target / "node_modules" / ".package-lock.json"
        locked = (SOURCE / "package-lock.json").read_bytes()
        fresh = installed.exists() and (target / "package-lock.json").read_bytes() == locked
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(SOURCE / name, target / name)
        if not fresh:
            npm("ci", folder=target)
    return target
