"""What we send to Workers AI, Deepgram and ElevenLabs, judged by their own descriptions of their APIs."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from aig.modalities.classify import ClassifyRequest
from aig.modalities.files import Sound
from aig.modalities.image import ImageRequest
from aig.modalities.rerank import RerankRequest
from aig.modalities.speak import MEDIA_TYPES, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.translate import TranslateRequest
from aig.modalities.upstream import Upstream
from aig_providers import deepgram, elevenlabs
from aig_providers.cloudflare import classify, image, moderate, rerank, speak, transcribe, translate
from tests.conformance.test_vendor_specifications import SPECIFICATIONS, _document, validator

pytestmark = pytest.mark.skipif(not SPECIFICATIONS.is_dir(), reason="there are no shared/specs beside the repository")
SOUND = Sound(b"RIFF....WAVE", "audio/wav", 4)
FORMS = tuple(MEDIA_TYPES)


@cache
def fields(declared: str) -> Mapping[str, bool]:
    """The fields of a type of theirs at its first level, and whether they must be there."""
    text = (SPECIFICATIONS / "cloudflare" / "workers-ai.d.ts").read_text()
    start = re.search(rf"^export (?:interface|type) {declared}\b", text, re.MULTILINE)
    assert start, declared
    block = text[start.start() : text.index("\nexport ", start.end())]
    depth, found, level = 0, {}, 0
    for line in re.sub(r"/\*.*?\*/", "", block, flags=re.DOTALL).splitlines():
        field = re.match(r"\s+(\w+)(\??):", line)
        if field and depth == (level := level or depth):
            found[field[1]] = not field[2]
        depth += line.count("{") - line.count("}")
    return found


def at(model_id: str) -> Upstream:
    return Upstream("p", model_id, "https://p.example", "k")


IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "@cf/black-forest-labs/flux-1-schnell": ("Ai_Cf_Black_Forest_Labs_Flux_1_Schnell_Input", {}),
    "@cf/leonardo/lucid-origin": ("Ai_Cf_Leonardo_Lucid_Origin_Input", {"seed": 1, "guidance": 5.0}),
    "@cf/leonardo/phoenix-1.0": (
        "Ai_Cf_Leonardo_Phoenix_1_0_Input", {"seed": 1, "guidance": 5.0, "negative_prompt": "dogs"},
    ),
    "@cf/stabilityai/stable-diffusion-xl-base-1.0": (
        "AiTextToImageInput", {"seed": 1, "guidance": 5.0, "negative_prompt": "dogs"},
    ),
}  # fmt: skip
HEARING = TranscribeRequest(("m",), SOUND, language="en")
SENT = {
    **{
        model: (declared, image.build_request(at(model), ImageRequest(("m",), "a cat", steps=4, **settings)))
        for model, (declared, settings) in IMAGES.items()
    },
    "turbo": (
        "Ai_Cf_Openai_Whisper_Large_V3_Turbo_Input",
        transcribe.build_request(
            at("@cf/openai/whisper-large-v3-turbo"), TranscribeRequest(("m",), SOUND, language="en", prompt="x")
        ),
    ),
    **{
        f"aura {form}": (
            "Ai_Cf_Deepgram_Aura_2_En_Input",
            speak.build_request(at("@cf/deepgram/aura-2-en"), SpeakRequest(("m",), "Hi.", "luna", form)),
        )
        for form in FORMS
    },
    "melotts": (
        "AiTextToSpeechInput", speak.build_request(at("@cf/myshell-ai/melotts"), SpeakRequest(("m",), "Hi.", "fr")),
    ),
    "guard": ("Ai_Cf_Meta_Llama_Guard_3_8B_Input", moderate.build_request(at("m"), ("a",))),
    "m2m100": (
        "AiTranslationInput", translate.build_request(at("m"), TranslateRequest(("m",), ("a",), "de", "en"), "a"),
    ),
    "distilbert": (
        "AiTextClassificationInput", classify.build_request(at("m"), ClassifyRequest(("m",), ("a",)), "a"),
    ),
    "reranker": (
        "Ai_Cf_Baai_Bge_Reranker_Base_Input",
        rerank.build_request(at("m"), RerankRequest(("m",), "q", ("a",), top_n=1)),
    ),
}  # fmt: skip
# Its types leave it out, with the comment on it left in; the page of the model requires it.
LEFT_OUT = {"reranker": {"query"}}


@pytest.mark.parametrize("what", SENT)
def test_fields_of_workers_ai(what: str) -> None:
    declared, http = SENT[what]
    known, body = fields(declared), json.loads(http.body)
    assert known
    assert body.keys() - LEFT_OUT.get(what, set()) <= known.keys()
    assert {name for name, needed in known.items() if needed} <= body.keys()


def test_settings_of_nova_at_workers_ai() -> None:
    http = transcribe.build_request(at("@cf/deepgram/nova-3"), HEARING)
    assert dict(parse_qsl(urlsplit(http.url).query)).keys() <= fields("Ai_Cf_Deepgram_Nova_3_Input").keys()


def _parameters(path: str) -> dict[str, Any]:
    """The schemas of a path's query at Deepgram."""
    operation = _document("deepgram/openapi.yml")["paths"][path]["post"]
    return {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}


def _allowed(schema: Any) -> set[str] | None:
    """The values of an enumeration, None for a schema that takes others too."""
    if "$ref" in schema:
        node: Any = _document("deepgram/openapi.yml")
        for key in schema["$ref"].removeprefix("#/").split("/"):
            node = node[key]
        return _allowed(node)
    if "enum" in schema:
        return set(map(str, schema["enum"]))
    kinds = [_allowed(kind) for kind in schema.get("anyOf", ())]
    return None if not kinds or None in kinds else {value for kind in kinds if kind for value in kind}


def test_the_choices_of_deepgram_are_known() -> None:
    known = _parameters("/v1/speak")
    assert _allowed(known["container"]) == {"none", "wav", "ogg"}
    assert {"mp3", "linear16"} <= (_allowed(known["encoding"]) or set())


@pytest.mark.parametrize("language", [None, "de"])
def test_a_transcription_at_deepgram(language: str | None) -> None:
    http = deepgram.build_listen(at("nova-3"), TranscribeRequest(("m",), SOUND, language=language))
    known = _parameters("/v1/listen")
    assert dict(parse_qsl(urlsplit(http.url).query)).keys() <= known.keys()


@pytest.mark.parametrize("voice", [None, "orion"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ["aura-2-thalia-en", "aura-asteria-en"])
def test_speech_at_deepgram(model: str, form: Any, voice: str | None) -> None:
    http = deepgram.build_speak(at(model), SpeakRequest(("m",), "Hi.", voice, form, speed=0.9))
    known = _parameters("/v1/speak")
    for name, value in parse_qsl(urlsplit(http.url).query):
        allowed = _allowed(known[name])
        assert allowed is None or value in allowed, name
    assert json.loads(http.body).keys() == {"text"}


@pytest.mark.parametrize("form", ["mp3", "pcm", "opus"])
def test_speech_at_elevenlabs(form: Any) -> None:
    http = elevenlabs.build_speak(at("eleven_v3"), SpeakRequest(("m",), "Hi.", None, form, speed=1.1))
    pointer = "components/schemas/Body_Text_to_speech_streaming_v1_text_to_speech__voice_id__stream_post"
    assert list(validator("elevenlabs/openapi.json", pointer).iter_errors(json.loads(http.body))) == []
    path = _document("elevenlabs/openapi.json")["paths"]["/v1/text-to-speech/{voice_id}/stream"]["post"]
    (formats,) = (one["schema"]["enum"] for one in path["parameters"] if one["name"] == "output_format")
    assert dict(parse_qsl(urlsplit(http.url).query))["output_format"] in formats


def test_a_transcription_at_elevenlabs() -> None:
    http = elevenlabs.build_transcribe(at("scribe_v1"), TranscribeRequest(("m",), SOUND, "de", temperature=0.5))
    names = set(re.findall(rb'name="(\w+)"', http.body))
    schema = _document("elevenlabs/openapi.json")["components"]["schemas"]["Body_Speech_to_Text_v1_speech_to_text_post"]
    assert {name.decode() for name in names} <= schema["properties"].keys()
    assert set(schema["required"]) <= {name.decode() for name in names}
