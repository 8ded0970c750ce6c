"""What we send for all but chat, embeddings and audio, judged by the vendors' own descriptions."""

import json
from collections.abc import Mapping
from email.parser import BytesParser
from typing import Any

import pytest

from aig.modalities.detect import DetectRequest
from aig.modalities.files import Document, Picture
from aig.modalities.image import ImageRequest
from aig.modalities.moderate import ModerateRequest
from aig.modalities.music import MusicRequest
from aig.modalities.ocr import OcrRequest
from aig.modalities.rerank import RerankRequest, Score
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.translate import TranslateRequest
from aig.modalities.upstream import Upstream
from aig_providers import bfl, cohere, deepl, elevenlabs, mistral, openai, openai_compatible, stability, vision
from aig_providers.google_contents import generate_body
from aig_providers.wire import HttpRequest
from tests.conformance.recordings import ABSENT, FOLDER
from tests.conformance.sdk_types import check_google
from tests.conformance.test_vendor_specifications import SPECIFICATIONS, validator

described = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(), reason=f"there are no {SPECIFICATIONS.parent.name}/specs beside the repository"
)
PICTURE = Picture(b"\x89PNG", "image/png", 640, 480)
BFL = "bfl/openapi__original_black-forest-labs-openapi.yml"
SIZED = ImageRequest((), "a cat", size=(1024, 768), seed=5, form="png")


def to(model: str) -> Upstream:
    return Upstream("p", model, "https://p.example", "k")


def json_at(path: str) -> str:
    return f"paths/{path.replace('/', '~1')}/post/requestBody/content/application~1json/schema"


def complaints(file: str, pointer: str, body: Any) -> list[str]:
    found = validator(file, pointer).iter_errors(body)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def body(http: HttpRequest) -> Any:
    return json.loads(http.body)


def form(http: HttpRequest) -> dict[str, Any]:
    """A form's fields, numbers read where the description has numbers, and its files as texts."""
    head = f"Content-Type: {http.headers['Content-Type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + http.body).get_payload()
    fields = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode("latin-1")
        for part in parts
    }
    return fields | ({"seed": int(fields["seed"])} if "seed" in fields else {})


READ_ALL = OcrRequest((), Document(b"%PDF", "application/pdf", 3))
WALTZ = MusicRequest((), "a slow waltz", seconds=30)
TEXTS = TranslateRequest((), ("a", "b"), "pt-BR", "en")
JSON: Mapping[str, tuple[str, str, Any]] = {
    "cohere rerank": (
        "cohere/openapi.yaml", json_at("/v2/rerank"),
        cohere.rerank_body(to("m"), RerankRequest((), "q", ("a", "b"), top_n=1)),
    ),
    "mistral picture": (
        "mistral/openapi.yaml", "components/schemas/OCRRequest", mistral.ocr_body(to("m"), OcrRequest((), PICTURE)),
    ),
    "mistral document": ("mistral/openapi.yaml", "components/schemas/OCRRequest", mistral.ocr_body(to("m"), READ_ALL)),
    "mistral moderation": (
        "mistral/openapi.yaml", "components/schemas/ClassificationRequest",
        body(mistral.moderation_request(to("m"), ModerateRequest((), (("a",), ("b",))))),
    ),
    "elevenlabs music": (
        "elevenlabs/openapi.json", json_at("/v1/music"),
        body(elevenlabs.build_music(to("music_v1"), WALTZ)),
    ),
    "deepl": ("deepl/openapi.json", json_at("/v2/translate"), body(deepl.build_request(to("m"), TEXTS, ["a", "b"]))),
    "bfl pro": (BFL, json_at("/v1/flux-pro-1.1"), body(bfl.build_request(to("flux-pro-1.1"), SIZED))),
    "bfl ultra": (BFL, json_at("/v1/flux-pro-1.1-ultra"), body(bfl.build_request(to("flux-pro-1.1-ultra"), SIZED))),
    "bfl dev": (BFL, json_at("/v1/flux-dev"), body(bfl.build_request(to("flux-dev"), SIZED))),
    "bfl fill": (
        BFL, json_at("/v1/flux-pro-1.0-fill"),
        body(bfl.build_request(to("flux-pro-1.0-fill"), ImageRequest((), "a", pictures=(PICTURE,), mask=PICTURE))),
    ),
}  # fmt: skip
SQUARE = ImageRequest((), "a cat", size=(1024, 1024), seed=5, form="webp", negative_prompt="dogs")
FILL = ImageRequest((), "a cat", pictures=(PICTURE,), mask=PICTURE, seed=5, form="jpeg")
FORMS: Mapping[str, tuple[str, str, Any]] = {
    "stable-image-ultra": ("generate-ultra", "GenerateUltraRequest", SQUARE),
    "stable-image-core": ("generate-core", "GenerateCoreRequest", SQUARE),
    "sd3.5-large": ("generate-sd3", "GenerateSD3Request", SQUARE),
    "sd3.5-large-turbo": ("generate-sd3", "GenerateSD3Request", SQUARE),
    "sd3.5-medium": ("generate-sd3", "GenerateSD3Request", SQUARE),
    "inpaint": ("inpaint", "InpaintRequest", FILL),
}


@described
@pytest.mark.parametrize("name", JSON)
def test_a_body(name: str) -> None:
    file, pointer, sent = JSON[name]
    assert complaints(file, pointer, sent) == []
    assert complaints(file, pointer, dict.fromkeys(sent, 5.5))


@described
@pytest.mark.parametrize("model", FORMS)
def test_a_form(model: str) -> None:
    """With no field that is not described, and each of those as it is described."""
    name, schema, asked = FORMS[model]
    file, pointer = f"stability/openapi_stability-ai-{name}-api-openapi.yml", f"components/schemas/{schema}"
    http = stability.build_request(to(model), asked)
    sent = form(http)
    assert complaints(file, pointer, sent) == []
    strict = validator(file, pointer).evolve(schema={"$ref": f"urn:vendor#/{pointer}", "unevaluatedProperties": False})
    assert [error.message for error in strict.iter_errors(sent)] == []
    assert list(strict.iter_errors({**sent, "no_such_field": "x"}))
    assert list(strict.iter_errors({**sent, "seed": -1}))


@described
def test_a_form_of_a_picture_alone() -> None:
    """The description knows the first of the two models."""
    file, pointer = (
        "stability/openapi_stability-ai-3d-generation-api-openapi.yml",
        "components/schemas/StableFast3DRequest",
    )
    sent = form(stability.build_model(to("stable-fast-3d"), ThreeDRequest((), picture=PICTURE)))
    assert complaints(file, pointer, sent) == []
    assert sent.keys() == {"image"}
    assert complaints(file, pointer, {})


BY_CHAT = {
    "ocr": vision.ocr_request(OcrRequest((), PICTURE)),
    "ocr of a document": vision.ocr_request(READ_ALL),
    "detect": vision.detect_request(DetectRequest((), PICTURE, labels=("cat",))),
}


@described
@pytest.mark.parametrize("name", BY_CHAT)
def test_what_is_asked_by_chat(name: str) -> None:
    asked, file = BY_CHAT[name], "openai/openapi.json"
    responses = body(openai.build_request(to("m"), asked, 16_384))
    assert complaints(file, "components/schemas/CreateResponse", responses) == []
    completions = body(openai_compatible.build_request(to("m"), asked, 16_384))
    assert complaints(file, "components/schemas/CreateChatCompletionRequest", completions) == []
    assert completions["response_format"]["json_schema"]["schema"] == responses["text"]["format"]["schema"]


@pytest.mark.parametrize("name", BY_CHAT)
def test_what_is_asked_of_gemini_by_chat(name: str) -> None:
    made = json.loads(json.dumps(generate_body(to("m"), BY_CHAT[name], 16_384)))
    check_google(made)
    assert made["generationConfig"]["responseJsonSchema"]["type"] == "object"
    assert made["generationConfig"]["temperature"] == 0


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)
def test_a_recorded_rerank() -> None:
    payload = (FOLDER / "vercel-ai/cohere/cohere-reranking.1.json").read_bytes()
    result = cohere.parse_rerank(payload, RerankRequest((), "q", ("a", "b")))
    assert result.scores == [Score(1, 0.10183054), Score(0, 0.03762639)]
    assert result.usage is not None
    assert result.usage.units == {"search_units": 1}
