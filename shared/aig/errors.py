"""What can go wrong, as a tree: every class owns its HTTP status, its type and a default code.

AIGError                        rendered to the client by aig.http, nowhere else
  InvalidRequest           400    RequestTooLarge 413, UnsupportedMediaType 415, MethodNotAllowed 405
  Unauthenticated          401
  BudgetExceeded           402
  Forbidden                403
  ModelNotFound, NotFound  404
  Conflict                 409
  RateLimited              429
  InternalError            500
  ProviderUnavailable      502
  Overloaded               503
  UpstreamTimeout          504
UpstreamError                   raised by adapters only; the pipeline fails over or turns it into one of the above
  AdapterBug                    in the place of what else an adapter raised
"""

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from aig.modalities.usage import Usage


class AIGError(Exception):
    """An answer to the client. `message` says what to do next; `retry_after` is in whole seconds."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.retry_after = retry_after
        self.attempts: int | None = None  # how often providers were asked before it came to this


class InvalidRequest(AIGError):
    status = 400
    type = "invalid_request_error"
    default_code = "invalid_value"


class MethodNotAllowed(InvalidRequest):
    status = 405
    default_code = "method_not_allowed"


class RequestTooLarge(InvalidRequest):
    status = 413
    default_code = "request_too_large"


class UnsupportedMediaType(InvalidRequest):
    status = 415
    default_code = "unsupported_media_type"


class Unauthenticated(AIGError):
    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"


class BudgetExceeded(AIGError):
    status = 402
    type = "budget_exceeded"
    default_code = "insufficient_balance"


class Forbidden(AIGError):
    status = 403
    type = "permission_error"
    default_code = "insufficient_scope"


class ModelNotFound(AIGError):
    status = 404
    type = "model_not_found"
    default_code = "model_not_found"


class NotFound(AIGError):
    status = 404
    type = "not_found_error"
    default_code = "not_found"


class Conflict(AIGError):
    status = 409
    type = "conflict_error"
    default_code = "conflict"


class RateLimited(AIGError):
    """`rpm` is the limit, where it is one of requests a minute."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    rpm: int | None = None


class InternalError(AIGError):
    pass


class ProviderUnavailable(AIGError):
    status = 502
    type = "provider_error"
    default_code = "provider_unavailable"


class Overloaded(AIGError):
    status = 503
    type = "overloaded_error"
    default_code = "overloaded"


class UpstreamTimeout(AIGError):
    status = 504
    type = "timeout_error"
    default_code = "upstream_timeout"


UpstreamKind = Literal[
    "connect",  # no connection, or it broke before an answer
    "timeout",  # silence past the attempt's time
    "rate_limited",  # 429
    "unavailable",  # 5xx, 529
    "malformed",  # an answer we cannot read, or a stream that ended too early
    "auth",  # the provider refuses OUR key: 401, 402, 403
    "rejected",  # the provider refuses the request: 400, 404, 413, 422
]


class UpstreamError(Exception):
    """What a provider did, in our words. Carries no provider text: `code` and `param` are slugs it sent, checked.

    `message` is for the client: an adapter's own words, or those of a server of ours.
    """

    RETRYABLE: ClassVar[frozenset[str]] = frozenset(
        {"connect", "timeout", "rate_limited", "unavailable", "malformed", "auth"}
    )

    def __init__(
        self,
        kind: UpstreamKind,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        usage: "Usage | None" = None,
        message: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(f"{kind} (status {status}, code {code})")
        self.kind = kind
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.message = message
        self.usage = usage  # of what was done, and will be billed, before it failed
        self.sent = sent  # False where it never came to a connection: nobody can have read the request

    @property
    def unasked(self) -> bool:
        """Whether the provider's adapter refused, because its wire cannot do that: nobody was asked."""
        return self.kind == "rejected" and self.status is None

    @property
    def retryable(self) -> bool:
        """Whether another provider may well answer where this one did not."""
        return self.kind in self.RETRYABLE


class AdapterBug(UpstreamError):
    """An adapter could not read an answer and did not say so: our fault, which `error` and `where` tell of.

    To the call it is an answer that cannot be read. Of the provider it says nothing: a request that only one client
    sends must not shut a model for everybody.
    """

    def __init__(self, raised: BaseException) -> None:
        super().__init__("malformed")
        self.error = type(raised).__name__
        self.where = _where(raised)


def _where(raised: BaseException) -> str:
    """The file and line that raised: never the message, which may hold what must not be logged."""
    trace = raised.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
