"""One case of the table of bad inputs: a request, and the answer it must get."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.builders import PROMPT
from tests.integration.operations import CALLS

Refusal = tuple[int, str]  # HTTP status and error type

OK: Final = (200, "")
A: Final = (401, "authentication_error")
B: Final = (400, "invalid_request_error")
N: Final = (404, "model_not_found")
NOT_FOUND: Final = (404, "not_found_error")
NOT_ALLOWED: Final = (405, "invalid_request_error")
TOO_LARGE: Final = (413, "invalid_request_error")
UNSUPPORTED: Final = (415, "invalid_request_error")
P: Final = (402, "budget_exceeded")
R: Final = (429, "rate_limit_error")
U: Final = (502, "provider_error")
G: Final = (504, "timeout_error")

# Which account sends it; "nobody" sends no key.
SenderKind = Literal["usual", "nobody", "empty", "capped", "rated", "revoked", "expired", "suspended"]
Headers = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Case:
    """`row` is the row's number in the table. The request is a good one of its path but for what the case says.

    `body` replaces fields, and removes those that are GONE; `files` are those of a form, as their field, their name and
    their bytes, None the good ones; `raw` replaces the whole body. `headers` come on top, with
    "{key}" standing for a good key and "{almost}" for one with another last character. `reached` says that the request
    does come to a provider.
    """

    row: int
    what: str
    expected: Refusal
    body: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[tuple[str, bytes, bytes]] | None = None
    raw: Callable[[], bytes] | None = None
    headers: Headers = ()
    sender: SenderKind = "usual"
    method: str = "POST"
    path: str = "/v1/chat/completions"
    reached: bool = False
    code: str | None = None
    says: str = ""

    @property
    def family(self) -> str:
        """Which function serves the path."""
        if self.path.startswith("/v1/chat/"):
            return "chat"
        if self.path in GOOD:
            return FAMILIES[self.path]
        return "accounts" if self.path.startswith(("/v1/wallet", "/v1/key")) else "models"

    @property
    def id(self) -> str:
        """As pytest shows it."""
        return f"{self.row:03}-{self.what}"


GONE: Final = object()
JOBS: Final = {
    "/v1/videos/generations": "sandbox/video",
    "/v1/audio/music": "sandbox/music",
    "/v1/3d/generations": "sandbox/3d",
}
GOOD: Final[Mapping[str, Mapping[str, Any]]] = {
    "/v1/embeddings": {"model": "sandbox/embed", "input": PROMPT},
    **{call.path: {"model": call.model, **call.body} for call in CALLS},
    **{path: {"model": model, "prompt": PROMPT} for path, model in JOBS.items()},
}
GOOD_FILES: Final = {
    call.path: [(name, b"file", data) for name, data in call.files.items()] for call in CALLS if call.files
}
FAMILIES: Final = {
    "/v1/embeddings": "embeddings",
    **{call.path: call.family.lower() for call in CALLS},
    **dict.fromkeys(JOBS, "generations"),
}


def good_body(path: str = "/v1/chat/completions") -> dict[str, Any]:
    """A body that nothing is wrong with."""
    chat = {"model": "sandbox/echo", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 16}
    return dict(GOOD.get(path, chat))


def user(*parts: Any) -> list[dict[str, Any]]:
    """Messages that hold one user message of these content parts."""
    return [{"role": "user", "content": list(parts)}]


def image(url: str) -> dict[str, Any]:
    """Messages with a picture."""
    return {"messages": user({"type": "image_url", "image_url": {"url": url}})}


def each(row: int, what: str, expected: Refusal, name: str, *values: Any, **more: Any) -> list[Case]:
    """A case for each wrong value of one field of the body."""
    return [Case(row, f"{what} {_shown(value)}", expected, {name: value}, **more) for value in values]


def _shown(value: Any) -> str:
    text = "absent" if value is GONE else repr(value).replace(" ", "")
    return text if len(text) <= 30 else f"{text[:30]}…"
