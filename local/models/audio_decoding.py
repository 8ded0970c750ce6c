"""Recordings of any usual kind as the samples that a speech model hears, by PyAV (FFmpeg's libraries in a wheel)."""

import contextlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, TypeAlias

import av
import numpy as np

from local.models.errors import BadRequestError

RATE: Final = 16_000
# FFmpeg's names. A list, because others (playlists, scripts) name further files and addresses, which it would open.
_CONTAINERS: Final = "aac,flac,matroska,mov,mp3,ogg,wav"

Samples: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def waveform(recording: bytes, max_seconds: int) -> Samples:
    """Mono samples from -1 to 1 at 16 kHz. Raises `BadRequestError` for what is no audio, or longer."""
    try:
        with av.open(BytesIO(recording), options={"format_whitelist": _CONTAINERS}, metadata_errors="ignore") as media:
            parts = list(_parts(media, max_seconds))
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable() from error
    if not parts:
        raise _unreadable()
    return np.concatenate(parts)


def _parts(media: Any, max_seconds: int) -> Iterator[Samples]:
    if not media.streams.audio:
        raise _unreadable()
    # The header is believed when it says too much; the samples are counted because it may say too little.
    if media.duration is not None and media.duration > max_seconds * av.time_base:
        raise _too_long(max_seconds)
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    samples = 0
    for frame in _frames(media):
        for made in resampler.resample(frame):
            samples += made.samples
            if samples > max_seconds * RATE:
                raise _too_long(max_seconds)
            yield made.to_ndarray()[0]


def _frames(media: Any) -> Iterator[Any]:
    """Every frame that can be decoded, then None, which makes a resampler give what it still holds."""
    for packet in media.demux(media.streams.audio[0]):
        # A damaged packet costs its own few milliseconds and not the whole recording.
        with contextlib.suppress(av.InvalidDataError):
            for frame in packet.decode():
                frame.pts = None  # Times that jump would stop the resampler.
                yield frame
    yield None


def _unreadable() -> BadRequestError:
    return BadRequestError(
        "`file` could not be decoded. Send a recording as wav, mp3, m4a, mp4, webm, ogg, flac or aac.",
        param="file",
        code="invalid_audio",
    )


def _too_long(max_seconds: int) -> BadRequestError:
    return BadRequestError(
        f"`file` is longer than {max_seconds} seconds, the most that this model takes. Cut it and send the parts.",
        param="file",
        code="audio_too_long",
    )
