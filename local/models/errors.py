"""The errors of the local model server, each rendered as OpenAI's `{"error": {message, type, code, param}}`."""

from typing import Any, ClassVar


class ApiError(Exception):
    """An answer other than 200: `status` is HTTP's, `type` and `code` are stable, the message is for people."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    code: str = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        """`param` names the request field at fault; `code` replaces the class's own."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"error": {"message": self.message, "type": self.type, "code": self.code, "param": self.param}}


class BadRequestError(ApiError):
    """The request cannot be served as it stands; sending it again changes nothing."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class NotFoundError(ApiError):
    """No such model or path."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class MethodNotAllowedError(ApiError):
    """The path exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class PackageMissingError(ApiError):
    """The model is known here, but the Python package that runs or carries it is not installed."""

    status = 503
    code = "package_missing"


class ShuttingDownError(ApiError):
    """The server was told to stop while the request waited or ran."""

    status = 503
    type = "overloaded_error"
    code = "shutting_down"


class EngineFailedError(ApiError):
    """The engine broke: it did not load, or ended an answer without finishing it."""

    code = "engine_failed"
