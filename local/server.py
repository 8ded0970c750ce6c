"""Starts the parts of the local stack in order and serves until it is told to stop."""

import functools
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from local import banner, http_server
from local.deploy import create_buckets, create_machines, create_queues, create_tables
from local.embedded import EmbeddedAws, pretend_credentials
from local.embedded_queues import EmbeddedQueue
from local.errors import StartError
from local.front import Front
from local.functions import Environments, load_asgi_app, load_handler, new_context, shared_environment
from local.machines import run_tasks
from local.model_server import ModelServer, command
from local.queues import Queues
from local.schedules import Schedules
from local.settings import Settings
from local.stream_readers import EmbeddedReader, EndpointReader
from local.streams import Reader, Streams
from local.template import ROOT, TEMPLATE, Stack, StreamMapping, load

CACHE: Final = ROOT / ".cache"
_MODEL_SECONDS: Final = 120.0
# How many requests a function serves at a time; those behind queues and state machines wait for others, mostly.
_ENVIRONMENTS: Final = 4
_WORKERS: Final = 128


def say(line: str) -> None:
    """Prints one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _log(line: str) -> None:
    say(f"{time.strftime('%H:%M:%S')} {line}")


def _seed_account(secret_key: str | None) -> str:
    # The gateway's own modules are imported last: what they read from the environment is set by then.
    from local.seed import seed_account

    return seed_account(secret_key)


def run(settings: Settings, template: Path = TEMPLATE, seed: Callable[[str | None], str] = _seed_account) -> None:
    """Serves until SIGINT or SIGTERM. Raises StartError when something keeps it from starting."""
    with ExitStack() as cleanup:
        try:
            _run(settings, template, seed, cleanup)
        finally:
            # A second Ctrl-C would leave the child process behind; ending takes seconds at most.
            _ignore_signals()


def _run(settings: Settings, template: Path, seed: Callable[[str | None], str], cleanup: ExitStack) -> None:
    listener = cleanup.enter_context(http_server.listen(settings.port))
    models = _start_models(settings, cleanup) if settings.modalities else None
    say("Reading template.yaml")
    pretend_credentials()
    stack = load(template, {"LogLevel": settings.log_level, "FreeTier": settings.free_tier})
    _prepare_environment(settings, stack, cleanup)
    if models is not None:
        say("Waiting for the local models")
        os.environ["AIG_LOCAL_BASE_URL"] = models.wait(_MODEL_SECONDS)
        served = [source.model for modality in settings.modalities for source in modality.sources]
        os.environ["AIG_LOCAL_MODELS"] = ",".join(served)
    say("Loading the functions")
    base_url = f"http://{http_server.HOST}:{listener.getsockname()[1]}/v1"
    ready = banner.text(base_url, seed(settings.dev_key), chat=any(row.name == "chat" for row in settings.modalities))
    front, backgrounds = _functions(settings, stack, template.parent, cleanup, lambda: say(ready))
    for background in backgrounds:
        background.start()
        cleanup.callback(background.stop)
    http_server.server(front, stack.gateway_responses).run(sockets=[listener])
    say("Stopping")


def _start_models(settings: Settings, cleanup: ExitStack) -> ModelServer:
    server = ModelServer(CACHE / "models.log", functools.partial(command, settings.models), _log)
    cleanup.callback(server.stop)
    server.start()
    return server


def _prepare_environment(settings: Settings, stack: Stack, cleanup: ExitStack) -> None:
    """Makes what the template stores in and works with, and sets the environment that the functions see."""
    say("Starting the embedded AWS")
    aws = EmbeddedAws()
    embedded = aws.start()
    cleanup.callback(aws.stop)
    os.environ["AWS_ENDPOINT_URL"] = embedded
    endpoint = settings.dynamodb_endpoint or embedded
    made = create_tables(stack.tables, endpoint)
    create_buckets(stack.buckets, embedded)
    create_queues(stack.queues, embedded)
    create_machines(stack.machines, embedded)
    for service in ("S3", "SQS", "STATES"):
        os.environ[f"AIG_{service}_ENDPOINT"] = embedded
    os.environ["AIG_TIME_SCALE"] = settings.time_scale
    os.environ["AIG_ALLOW_LOOPBACK"] = "true"  # receivers of webhooks are on this machine too
    say(f"Tables at {endpoint}: {', '.join(table.name for table in stack.tables)}" + ("" if made else " (kept)"))
    os.environ.update(shared_environment(stack.functions))
    os.environ["AIG_DYNAMODB_ENDPOINT"] = endpoint
    os.environ.setdefault("AIG_KEY_PEPPER", _pepper(kept=settings.dynamodb_endpoint is not None))
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")


def _pepper(*, kept: bool) -> str:
    """A pepper for this run, or, where keys outlive the run, the one in the cache folder."""
    if not kept:
        return secrets.token_hex(32)
    path = CACHE / "pepper"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_text(encoding="ascii")


def _functions(
    settings: Settings, stack: Stack, root: Path, cleanup: ExitStack, started: Callable[[], None]
) -> tuple[Front, tuple[Schedules, Streams, Queues]]:
    """Imports every function that a route, a schedule, a stream, a queue or a state machine invokes."""
    streaming = {route.function for route in stack.routes if route.streaming}
    working = {mapping.function for mapping in stack.queue_mappings}
    working |= {name for machine in stack.machines for name in machine.functions.values()}
    invoked = working | {route.function for route in stack.routes} | {rule.function for rule in stack.schedules}
    invoked |= {mapping.function for mapping in stack.streams}
    apps: dict[str, Any] = {}
    environments: dict[str, Environments] = {}
    turns: dict[str, threading.Semaphore] = {}
    for name in sorted(invoked):
        function = stack.functions[name]
        if name in streaming:
            apps[name] = load_asgi_app(function, root)
        else:
            limit = _WORKERS if name in working else _ENVIRONMENTS
            environments[name] = Environments(name, functools.partial(load_handler, function), limit)
            turns[name] = threading.Semaphore(limit)
            cleanup.callback(environments[name].close)

    def invoke(name: str, event: dict[str, Any]) -> object:
        # A function's time begins when it runs, not when hundreds of executions ask for it.
        with turns[name]:
            return environments[name].invoke(event, new_context(stack.functions[name])).result()

    def open_reader(mapping: StreamMapping) -> Reader:
        if settings.dynamodb_endpoint is None:
            return EmbeddedReader(mapping.table, from_the_start=mapping.from_the_start)
        return EndpointReader(settings.dynamodb_endpoint, mapping.table, from_the_start=mapping.from_the_start)

    run_tasks(stack.machines, invoke, _log)
    front = Front(stack, environments, apps, log=_log, started=started)
    return front, (
        Schedules(stack.schedules, invoke, _log),
        Streams(stack.streams, open_reader, invoke, _log),
        Queues(stack.queue_mappings, lambda mapping: EmbeddedQueue(mapping.queue), invoke, _log),
    )


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class Stopped(BaseException):
    """SIGINT or SIGTERM came before the server was listening for them."""


def _stop(number: int, frame: object) -> None:
    raise Stopped


def main() -> int:
    """Runs the stack with the settings of the environment; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        run(Settings.read(os.environ))
    except StartError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    except Stopped:
        pass
    return 0
