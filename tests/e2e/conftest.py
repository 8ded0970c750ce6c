"""One running stack for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.builders import PROMPT
from tests.e2e.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The gateway on loopback. What it has logged by the end holds neither the key nor a prompt."""
    with Stack() as running:
        yield running
        logged = running.stop()
    assert " 200 " in logged
    assert running.key not in logged
    assert PROMPT not in logged
