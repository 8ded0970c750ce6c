"""Rows 125 to 142 and 161 to 165: what bodies may not be that ask for embeddings, texts, pictures or sound."""

from typing import Any, Final

from tests.integration.bad_inputs.case import GONE, OK, TOO_LARGE, B, Case, Refusal
from tests.integration.operations import PICTURE, data_url

EMBEDDINGS: Final = "/v1/embeddings"
MODERATIONS: Final = "/v1/moderations"
TRANSLATIONS: Final = "/v1/translations"
CLASSIFICATIONS: Final = "/v1/classifications"
RERANK: Final = "/v1/rerank"
PAINT: Final = "/v1/images/generations"
EDIT: Final = "/v1/images/edits"
TRANSCRIBE: Final = "/v1/audio/transcriptions"
SPEECH: Final = "/v1/audio/speech"


def _each(row: int, path: str, expected: Refusal, name: str, *values: Any, **more: Any) -> list[Case]:
    """A case for each value of one field."""
    what = f"{path.removeprefix('/v1/')} {name}"
    return [Case(row, f"{what} {_shown(value)}", expected, {name: value}, path=path, **more) for value in values]


def _shown(value: Any) -> str:
    return "absent" if value is GONE else repr(value)[:30]


_INPUTS: Final = ((EMBEDDINGS, "input"), (MODERATIONS, "input"), (CLASSIFICATIONS, "input"), (TRANSLATIONS, "text"))

_SIZES: Final = ("1024", "0x0", "99999x99999", "1024\u00d71024", "1024x", "-1x5", "1e3x9", "")
_SHOWN: Final = {"type": "image_url", "image_url": {"url": data_url(PICTURE)}}

TEXTS = [
    *[case for path, name in _INPUTS for case in _each(125, path, B, name, GONE, None, "", [], [""])],
    *_each(126, EMBEDDINGS, B, "input", ["a"] * 2_049),
    # A token of the sandbox is a word: one of a megabyte is one.
    *_each(126, EMBEDDINGS, OK, "input", "a" * 1_000_000, reached=True),
    *_each(126, MODERATIONS, B, "input", ["a"] * 257),
    *_each(126, CLASSIFICATIONS, B, "input", ["a"] * 129),
    *_each(126, TRANSLATIONS, B, "text", ["a"] * 51, "a" * 100_001),
    *[case for path, name in _INPUTS for case in _each(127, path, B, name, ["a", 1], ["a", None], [1.5])],
    *_each(128, EMBEDDINGS, B, "input", [-1], [2**31], [[1], [-1]], [[]]),
    *_each(129, EMBEDDINGS, B, "encoding_format", "hex"),
    *_each(130, EMBEDDINGS, B, "dimensions", 0, 10**9, 1.5),
    Case(
        130, "dimensions of a model without", B, {"model": "local/minilm-l6-v2", "dimensions": 64}, path=EMBEDDINGS,
        code="unsupported_parameter",
    ),
    *_each(131, RERANK, B, "documents", GONE, [], ["a"] * 10_001, ["a", None], [{"text": ""}], [{"title": "a"}], "a"),
    *_each(132, RERANK, B, "query", GONE, "", None, ["q"]),
    *_each(133, RERANK, B, "top_n", -1, 0, 1.5, "1", True),
    *_each(133, RERANK, OK, "top_n", 10**9, reached=True),  # all of them
    *_each(134, TRANSLATIONS, B, "target_lang", GONE, "xx-INVALID", "a" * 1_024, "", "p", "pt-BR-x", "pt\n"),
    *_each(134, TRANSLATIONS, OK, "source_lang", "pt", reached=True),  # from Portuguese into Portuguese
    *_each(135, TRANSLATIONS, B, "source_lang", "<script>", "", "auto-detect-it"),
    *_each(136, TRANSLATIONS, TOO_LARGE, "text", "a" * 10_000_000),
    *_each(137, CLASSIFICATIONS, B, "model", "sandbox/echo", "sandbox/embed", code="wrong_modality"),
    *_each(137, RERANK, B, "model", "sandbox/classify", code="wrong_modality"),
    *_each(137, SPEECH, B, "model", "sandbox/transcribe", code="wrong_modality"),
    Case(
        138, "a picture for a model of texts", B,
        {"model": "local/lexical-moderation", "input": [_SHOWN]},
        path=MODERATIONS, code="unsupported_parameter", says="vision",
    ),
    *[case for path in (PAINT, EDIT) for case in _each(139, path, B, "prompt", GONE, "", " \n", "a" * 100_000)],
    *_each(140, PAINT, B, "n", 0, 11, -1, 1.5, "2", True),
    *_each(140, EDIT, B, "n", "0", "11", "1.5", "two", ""),
    *[
        case
        for path in (PAINT, EDIT)
        for case in _each(141, path, B, "size", *_SIZES)
    ],
    *_each(142, PAINT, B, "response_format", "svg", "png", ""),
    *_each(142, EDIT, B, "response_format", "svg"),
    *_each(161, TRANSCRIBE, B, "language", "English", "e", "<script>", ""),
    # Which languages there are, the models know.
    *_each(161, TRANSCRIBE, OK, "language", "xx", reached=True),
    *_each(162, TRANSCRIBE, B, "response_format", "exe", ""),
    *_each(163, SPEECH, B, "input", GONE, "", " ", "a" * 10_001, ["a"]),
    Case(
        163, "longer than the model takes", B, {"input": "a" * 4_097, "speed": 4}, path=SPEECH,
        code="string_above_max_length", reached=True,
    ),
    *_each(164, SPEECH, B, "voice", "", "a" * 201, 1),
    # Which voices there are, the models know; no adapter lets one lead out of its path.
    *_each(164, SPEECH, OK, "voice", "../", reached=True),
    *_each(165, SPEECH, B, "speed", 0, 5, -1, "1", True),
    Case(
        165, "NaN", B, path=SPEECH, code="invalid_json",
        raw=lambda: b'{"model": "sandbox/speech", "input": "a", "speed": NaN}',
    ),
]  # fmt: skip
