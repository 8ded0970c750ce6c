"""Deepgram's settings and its answers, which Workers AI hands on as they are; and the formats of its speech."""

from collections.abc import Mapping
from typing import Any

from aig.modalities.speak import Format
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig_providers.shapes import string
from aig_providers.transcripts import heard, moment, refuse, segments, words

_SAMPLES = {"encoding": "linear16", "sample_rate": 24_000}
ENCODINGS: Mapping[Format, Mapping[str, Any]] = {
    "mp3": {"encoding": "mp3"},
    "wav": {**_SAMPLES, "container": "wav"},
    "opus": {"encoding": "opus", "container": "ogg"},
    "flac": {"encoding": "flac"},
    "pcm": {**_SAMPLES, "container": "none"},
}


def listening(request: TranscribeRequest) -> dict[str, str]:
    """The query of a transcription. Raises UpstreamError of kind rejected for what Deepgram does not have."""
    refuse(request, "prompt", "temperature", "into_english")
    language = {"language": request.language} if request.language else {"detect_language": "true"}
    return {"smart_format": "true", "utterances": "true", **language}


def parse_listened(body: Mapping[str, Any]) -> TranscribeResult:
    """Of the first channel, which without `multichannel` is all of them. Raises what indexing raises for another."""
    results = body["results"]
    channel = results["channels"][0]
    best = channel["alternatives"][0]
    seconds = moment(body["metadata"]["duration"]) if body.get("metadata") else None
    language = channel.get("detected_language")
    return TranscribeResult(
        text=string(best["transcript"]),
        segments=segments(results.get("utterances") or (), "transcript"),
        words=words(best.get("words") or (), "punctuated_word", "word"),
        language=language if isinstance(language, str) else None,
        seconds=seconds,
        usage=heard(seconds),
    )
