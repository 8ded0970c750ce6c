"""Step Functions as moto has it in this process: executions run, and their tasks invoke the functions here.

moto's interpreter comes from LocalStack. It is mended where it is slow, keeps everything for ever, or catches what
cannot be caught on AWS.
"""

import functools
import io
import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from local.machine_resources import Machine

Invoke = Callable[[str, dict[str, Any]], object]

INPUT_LIMIT_BYTES: Final = 262_144
_HISTORIES_KEPT: Final = 200
_MENDED: Final = "_aigateway_mended"
_LOCK: Final = threading.RLock()
_LOGGER: Final = logging.getLogger(__name__)


def make_machines_run() -> None:
    """Turns moto's interpreter on and mends it."""
    from moto.core.config import default_user_config
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    if hasattr(StepFunctionsParserBackend, _MENDED):
        return
    # It tells of every error, caught or not, once for each level of its grammar.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    _start_one_at_a_time(StepFunctionsParserBackend)
    _parse_once()
    _forget_histories()
    _let_fatal_errors_pass()
    setattr(StepFunctionsParserBackend, _MENDED, True)


def _start_one_at_a_time(backend: Any) -> None:
    """Has one name start one execution, also when two ask at once, and refuses an input that AWS would."""
    from moto.stepfunctions.exceptions import ValidationException

    original: Callable[..., Any] = backend.start_execution

    def start_execution(
        self: Any, state_machine_arn: str, name: Any = None, execution_input: str | None = None, *rest: Any
    ) -> Any:
        if len((execution_input or "").encode()) > INPUT_LIMIT_BYTES:
            raise ValidationException(
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have length less than or equal to {INPUT_LIMIT_BYTES}"
            )
        with _LOCK:
            return original(self, state_machine_arn, name, execution_input, *rest)

    backend.start_execution = start_execution


def _parse_once() -> None:
    """Keeps what is parsed: a definition takes 5 ms of CPU at each start, a path 1 ms at each use."""
    from moto.stepfunctions.parser.asl.component.common.path import result_path
    from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
    from moto.stepfunctions.parser.asl.utils import json_path

    parse = functools.lru_cache(maxsize=64)(AmazonStateLanguageParser.parse)

    def parse_one(definition: str) -> Any:
        # The tables of antlr are shared by all its parsers.
        with _LOCK:
            return parse(definition)

    vars(json_path)["parse"] = functools.lru_cache(maxsize=1024)(vars(json_path)["parse"])
    vars(result_path)["parse"] = functools.lru_cache(maxsize=1024)(vars(result_path)["parse"])
    AmazonStateLanguageParser.parse = staticmethod(parse_one)  # type: ignore[method-assign]
    # Made at its first use otherwise, which two executions of one definition may have at once.
    EvalComponent.heap_key = property(lambda self: str(id(self)))  # type: ignore[method-assign,assignment]


def _forget_histories() -> None:
    """Forgets the events of all closed executions but the last, and every thread that there was.

    Names and ends stay, so that no name starts twice. An execution that fails is logged.
    """
    from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
    from moto.stepfunctions.parser.utils import TMP_THREADS

    original: Callable[[Any], None] = BaseExecutionWorkerCommunication.terminated
    closed: deque[Any] = deque()

    def terminated(self: Any) -> None:
        original(self)
        execution = self.execution
        if execution.status in ("FAILED", "TIMED_OUT"):
            machine = execution.state_machine.name
            _LOGGER.warning(
                "%s %s: %s %s %s", machine, execution.name, execution.status, execution.error, execution.cause
            )
        with _LOCK:
            TMP_THREADS.clear()
            closed.append(execution.exec_worker.env.event_manager)
            while len(closed) > _HISTORIES_KEPT:
                closed.popleft()._history_event_list.clear()

    BaseExecutionWorkerCommunication.terminated = terminated  # type: ignore[method-assign]


def _let_fatal_errors_pass() -> None:
    """Has States.ALL and States.TaskFailed not mean the two errors that end every execution on AWS.

    A path that leads nowhere is one of them, also behind a task that names its function directly.
    """
    from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
    from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError

    fatal = [
        StatesErrorName(typ=kind)
        for kind in (StatesErrorNameType.StatesRuntime, StatesErrorNameType.StatesStatesDataLimitExceeded)
    ]
    original: Callable[[Any, Any], None] = ErrorEqualsDecl._eval_body

    def eval_body(self: Any, env: Any) -> None:
        if env.stack[-1] in fatal:
            env.stack.append(env.stack.pop() in self.error_names)
        else:
            original(self, env)

    failure: Callable[[Any, Any, Exception], Any] = StateTaskLambda._from_error

    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        kind = ExecutionState._from_error if isinstance(ex, NoSuchJsonPathError) else failure
        return kind(self, env, ex)

    ErrorEqualsDecl._eval_body = eval_body  # type: ignore[method-assign]
    StateTaskLambda._from_error = from_error  # type: ignore[method-assign]


def run_tasks(machines: Iterable[Machine], invoke: Invoke, log: Callable[[str], None]) -> None:
    """Has the tasks of the machines invoke functions by `invoke`, which takes a logical id and the event.

    What it raises is logged and is the task's error by the name of its class, as with Lambda's runtime.
    """
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

    functions = {arn: name for machine in machines for arn, name in machine.functions.items()}
    client = _LambdaClient(functions, invoke, log)
    vars(lambda_eval_utils)["boto_client_for"] = lambda **_: client


class _LambdaClient:
    """As much of boto3's Lambda client as the interpreter calls."""

    def __init__(self, functions: Mapping[str, str], invoke: Invoke, log: Callable[[str], None]) -> None:
        self._functions = functions
        self._invoke = invoke
        self._log = log

    def invoke(self, *, FunctionName: str, Payload: bytes = b"{}", **_: Any) -> dict[str, Any]:  # noqa: N803
        """Invokes a function by its ARN and returns what Lambda would, the function's own error included.

        Raises botocore's ClientError when no machine may invoke that function.
        """
        name = self._functions.get(FunctionName)
        if name is None:
            raise _not_found(FunctionName)
        try:
            return _answer(self._payload(name, json.loads(Payload)))
        except Exception as raised:
            kind = "Runtime.MarshalError" if isinstance(raised, _Unmarshalled) else type(raised).__name__
            self._log(f"{name} failed: {kind}: {raised}")
            error = {"errorMessage": str(raised), "errorType": kind, "requestId": str(uuid.uuid4()), "stackTrace": []}
            return _answer(json.dumps(error)) | {"FunctionError": "Unhandled"}

    def _payload(self, name: str, event: dict[str, Any]) -> str:
        answer = self._invoke(name, event)
        try:
            return json.dumps(answer)
        except (TypeError, ValueError) as error:
            raise _Unmarshalled(str(error)) from error


class _Unmarshalled(Exception):
    """What a function returned is not JSON."""


def _answer(payload: str) -> dict[str, Any]:
    return {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": io.BytesIO(payload.encode())}


def _not_found(arn: str) -> Exception:
    from botocore.exceptions import ClientError

    answer: Any = {
        "Error": {"Code": "ResourceNotFoundException", "Message": f"Function not found: {arn}"},
        "ResponseMetadata": {"HTTPStatusCode": 404, "RequestId": str(uuid.uuid4())},
    }
    return ClientError(answer, "Invoke")
