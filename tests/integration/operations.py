"""A good call of each operation on its sandbox model: how it is sent, what it counts and what it costs."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from aig.inputs import Inputs
from aig_providers.fetch import GuardedFetcher
from aig_providers.sandbox_drawing import picture
from tests.apps import App
from tests.builders import PROMPT, Account
from tests.unit.modalities.media.made import wav

PICTURE: Final = picture(PROMPT, "", 1, 64, 48)
SOUND: Final = wav(1.5)


@dataclass(frozen=True)
class Call:
    """`cost` is in nano-dollars. It is a form where there are `files`, else JSON.

    What is not `deterministic` is cached only for `x-cache: force`; of some, the record does not keep the answer.
    """

    family: str
    path: str
    model: str
    body: Mapping[str, Any]
    units: Mapping[str, int]
    cost: int
    files: Mapping[str, bytes] = field(default_factory=dict)
    deterministic: bool = True
    keeps_answer: bool = True

    @property
    def operation(self) -> str:
        """As records name it."""
        return self.path.removeprefix("/v1/").replace("/", ".")

    @property
    def capability(self) -> str:
        """What a model must be able to do."""
        return CAPABILITIES[self.operation]

    @property
    def cacheable(self) -> dict[str, str]:
        """The headers that let it be cached."""
        return {} if self.deterministic else {"x-cache": "force"}

    async def send(
        self, app: App, account: Account, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """The answer to it, with `body` on top and without the fields that are None there."""
        fields = {name: value for name, value in {"model": self.model, **self.body, **body}.items() if value}
        sent = {**account.authorization, **(headers or {})}
        if not self.files:
            return await app.client.post(self.path, json=fields, headers=sent)
        return await app.client.post(self.path, data=fields, files=in_form(self.files), headers=sent)


def in_form(files: Mapping[str, bytes]) -> dict[str, tuple[str, bytes]]:
    """As httpx takes them."""
    return {name: ("file", data) for name, data in files.items()}


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


CAPABILITIES: Final = {
    "moderations": "moderate",
    "translations": "translate",
    "classifications": "classify",
    "rerank": "rerank",
    "ocr": "ocr",
    "detections": "detect",
    "images.generations": "image",
    "images.edits": "image",
    "audio.transcriptions": "transcribe",
    "audio.translations": "transcribe",
    "audio.speech": "speak",
}
# The figures are the prices of the sandbox's rows and five per cent: a token and a character cost 1,050 and 10,500
# nano-dollars, everything else 0.0105 USD.
EACH: Final = 10_500_000
_SHOWN: Final = {"image_url": data_url(PICTURE)}
_PAINTED: Final = {"prompt": PROMPT, "size": "64x48"}
CALLS: Final = (
    Call("Text", "/v1/moderations", "sandbox/moderate", {"input": f"{PROMPT} is fine"}, {"input_tokens": 3}, 3 * 1_050),
    Call(
        "Text", "/v1/translations", "sandbox/translate", {"text": PROMPT, "target_lang": "pt"},
        {"characters": len(PROMPT)}, len(PROMPT) * 10_500,
    ),
    Call(
        "Text", "/v1/classifications", "sandbox/classify", {"input": f"{PROMPT} is bad"}, {"input_tokens": 3}, 3 * 1_050
    ),
    Call(
        "Text", "/v1/rerank", "sandbox/rerank", {"query": PROMPT, "documents": ["one", PROMPT]}, {"search_units": 1},
        EACH,
    ),
    Call("Vision", "/v1/ocr", "sandbox/ocr", _SHOWN, {"pages": 1}, EACH),
    Call("Vision", "/v1/detections", "sandbox/detect", _SHOWN, {"images": 1}, EACH),
    Call(
        "Images", "/v1/images/generations", "sandbox/image", _PAINTED, {"images": 1}, EACH,
        deterministic=False, keeps_answer=False,
    ),
    Call(
        "Images", "/v1/images/edits", "sandbox/image", {"prompt": PROMPT}, {"images": 1}, EACH, {"image": PICTURE},
        deterministic=False, keeps_answer=False,
    ),
    Call("Audio", "/v1/audio/transcriptions", "sandbox/transcribe", {}, {"seconds": 2}, 2 * EACH, {"file": SOUND}),
    Call("Audio", "/v1/audio/translations", "sandbox/transcribe", {}, {"seconds": 2}, 2 * EACH, {"file": SOUND}),
    # 27 characters of 60 ms
    Call(
        "Audio", "/v1/audio/speech", "sandbox/speech", {"input": PROMPT}, {"seconds": 2}, 2 * EACH, keeps_answer=False
    ),
)  # fmt: skip


async def uploaded(files: App, account: Account, data: bytes) -> str:
    """The id of an upload of these bytes."""
    asked = await files.client.post("/v1/uploads", json={"bytes": len(data)}, headers=account.authorization)
    assert asked.status_code == 200, asked.text
    async with httpx.AsyncClient() as client:
        put = await client.put(asked.json()["url"], content=data)
    assert put.status_code == 200, put.text
    return str(asked.json()["id"])


def fetches_from_loopback(app: App) -> None:
    """Lets its URLs lead to this machine, as on one's own."""
    module: Any = app.module
    module.inputs = Inputs(GuardedFetcher(module.gateway.resolver, allow_loopback=True), module.container.files)


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "code", "param", "request_id"}
    return error


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of a refusal."""
    error = error_of(response)
    return response.status_code, error["code"], error["param"]
