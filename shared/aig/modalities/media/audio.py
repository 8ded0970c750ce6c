"""Which kind of sound a clip is, and how long it may be: nothing is decoded, and no name or declared type is believed.

The length is for holding money: an upper bound that a header cannot talk down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aig.modalities.media import flac, matroska, mp3, mp4, ogg, wav
from aig.modalities.media.limits import MAX_SECONDS, TooLarge

AudioType = Literal["audio/wav", "audio/mpeg", "audio/flac", "audio/ogg", "audio/mp4", "audio/webm"]

_KINDS: tuple[tuple[AudioType, Callable[[bytes], bool], Callable[[bytes], float | None]], ...] = (
    ("audio/wav", wav.is_wav, wav.longest_seconds),
    ("audio/flac", flac.is_flac, flac.longest_seconds),
    ("audio/ogg", ogg.is_ogg, ogg.longest_seconds),
    ("audio/mp4", mp4.is_mp4, mp4.longest_seconds),
    ("audio/webm", matroska.is_matroska, matroska.longest_seconds),
    ("audio/mpeg", mp3.is_mp3, mp3.longest_seconds),
)


@dataclass(frozen=True, slots=True)
class Clip:
    """`seconds` is an upper bound, None where only the bytes give one: see limits.longest_by_bytes."""

    media_type: AudioType
    seconds: float | None


def kind(data: bytes) -> AudioType | None:
    """By the first bytes."""
    return next((name for name, matches, _ in _KINDS if matches(data)), None)


def read(data: bytes) -> Clip:
    """WAV, MP3, FLAC, Ogg, MP4 or WebM. Raises ValueError, of which TooLarge is one."""
    found = kind(data)
    if found is None:
        raise ValueError("it is not WAV, MP3, FLAC, Ogg (Opus or Vorbis), M4A/MP4 or WebM audio")
    seconds = next(longest for name, _, longest in _KINDS if name == found)(data)
    if seconds is not None and seconds <= 0:
        raise ValueError("it holds no sound")
    if seconds is not None and seconds > MAX_SECONDS:
        raise TooLarge(f"it may last longer than {MAX_SECONDS // 3600} hours; send it in parts")
    return Clip(found, seconds)
