"""The embedded AWS: moto in this process, on a free loopback port, with its DynamoDB made atomic."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from local.intrinsics import REGION

_LOCK: Final = threading.RLock()
_LOCKED: Final = "_aigateway_locked"


def pretend_credentials() -> None:
    """Sets AWS credentials that no real account has, so that nothing local can reach one."""
    os.environ.pop("AWS_PROFILE", None)
    os.environ.update(
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",
        AWS_SESSION_TOKEN="local",
        AWS_EC2_METADATA_DISABLED="true",
    )
    # A proxy of the user's must not be asked for loopback addresses.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


def make_dynamodb_atomic() -> None:
    """Puts one lock around moto's DynamoDB handler.

    Without it a condition and the write behind it are two steps: 16 threads that reserved one of 500 places got up
    to 515, and one transaction in a race could be committed twice.
    """
    from moto.dynamodb.responses import DynamoHandler

    if hasattr(DynamoHandler, _LOCKED):
        return
    original: Callable[[Any], Any] = DynamoHandler.call_action

    def call_action(self: object) -> object:
        with _LOCK:
            return original(self)

    DynamoHandler.call_action = call_action  # type: ignore[method-assign]
    setattr(DynamoHandler, _LOCKED, True)


class EmbeddedAws:
    """A moto server. `endpoint` is its URL once it has been started; what it stores is gone when it stops."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        make_dynamodb_atomic()
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.endpoint = ""

    def start(self) -> str:
        """Starts serving and returns the endpoint."""
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self.endpoint

    def stop(self) -> None:
        """Ends the server's thread."""
        self._server.stop()
