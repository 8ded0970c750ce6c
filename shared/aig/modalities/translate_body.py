"""The body of a request for translations."""

import re
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, with_config

from aig.modalities.steering import STRICT, Steered, check, named_models, schema
from aig.modalities.translate import TranslateRequest

MAX_TEXTS = 50
MAX_CHARACTERS = 100_000

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z]{2,4})?")


def _language(text: str) -> str:
    """`pt-BR` however it is cased; `zh-Hans` names a script."""
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("a language is an ISO 639-1 code such as en or pt-BR")
    language, _, region = text.replace("_", "-").partition("-")
    region = region.title() if len(region) == 4 else region.upper()
    return f"{language.lower()}-{region}" if region else language.lower()


Language = Annotated[str, AfterValidator(_language)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]


@with_config(STRICT)
class TranslateBody(Steered):
    """Body of POST /v1/translations. Without `source_lang` the model finds the language out."""

    text: _Text | Annotated[list[_Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]
    target_lang: Language
    source_lang: NotRequired[Language | None]


_ADAPTER: TypeAdapter[TranslateBody] = TypeAdapter(TranslateBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def parse(body: dict[str, Any]) -> TranslateRequest:
    """A checked request. Raises aig.errors.InvalidRequest, naming the field."""
    checked = check(_ADAPTER, body)
    texts = checked["text"]
    return TranslateRequest(
        models=named_models(checked),
        texts=(texts,) if isinstance(texts, str) else tuple(texts),
        target=checked["target_lang"],
        source=checked.get("source_lang"),
        preferences=checked.get("provider") or {},
    )
