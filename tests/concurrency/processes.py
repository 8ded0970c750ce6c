"""Python processes beside the tests' own, with the same view of the repository."""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def start(module: str, argument: str) -> asyncio.subprocess.Process:
    """`python -m module argument`, with pipes for its input and output."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, argument),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
