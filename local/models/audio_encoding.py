"""Samples as a sound file that can be sent on while it grows, by PyAV (FFmpeg's libraries in a wheel)."""

import struct
from typing import Any, Final, NamedTuple, TypeAlias

import av
import numpy as np

RATE: Final = 24_000
"""What OpenAI's clients play pcm at; the other formats have it too."""

Samples: TypeAlias = np.ndarray[Any, np.dtype[np.int16]]


class _Codec(NamedTuple):
    """FFmpeg's names of a container and of what is in it, and settings of the two."""

    container: str
    codec: str
    muxing: dict[str, str]
    coding: dict[str, Any]


_CODECS: Final = {
    # Without a Xing header, which is written at the start when the end is known.
    "mp3": _Codec("mp3", "libmp3lame", {"write_xing": "0"}, {"bit_rate": 64_000}),
    # By itself Ogg collects a second of sound, and two, before it gives a page.
    "opus": _Codec("ogg", "libopus", {"page_duration": "200000", "flush_packets": "1"}, {"bit_rate": 32_000}),
    "aac": _Codec("adts", "aac", {}, {"bit_rate": 64_000}),
    "flac": _Codec("flac", "flac", {}, {}),
    "pcm": _Codec("s16le", "pcm_s16le", {}, {}),
    "wav": _Codec("s16le", "pcm_s16le", {}, {}),
}


class _Growing:
    """The file that the container is written to. It cannot seek, so what was written once stays as it is."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


class Encoder:
    """One file. Mono samples of 16 bits go in at any rate; 24 kHz come out."""

    def __init__(self, response_format: str, rate: int) -> None:
        """`response_format` is one of `speech.MEDIA_TYPES`, `rate` that of the samples."""
        codec = _CODECS[response_format]
        self._rate = rate
        self._file = _Growing()
        if response_format == "wav":
            self._file.write(_wav_header())
        self._container: Any = av.open(self._file, "w", format=codec.container, options=codec.muxing)
        self._stream: Any = self._container.add_stream(codec.codec, rate=RATE, layout="mono", **codec.coding)
        self._resampler: Any = None

    def add(self, samples: Samples) -> bytes:
        """What the file grows by: maybe nothing, as codecs collect samples first."""
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate
        self._encode(frame)
        return self._file.take()

    def finish(self) -> bytes:
        """The rest of the file."""
        self._encode(None)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.take()

    def _encode(self, frame: Any) -> None:
        if self._resampler is None:
            # The sizes of frames that a codec takes are known when it has been opened.
            self._stream.codec_context.open(strict=False)
            context = self._stream.codec_context
            self._resampler = av.AudioResampler(
                format=context.format, layout=context.layout, rate=RATE, frame_size=context.frame_size or None
            )
        for resampled in self._resampler.resample(frame):
            self._container.mux(self._stream.encode(resampled))


def _wav_header() -> bytes:
    """A WAV file whose end is not known: its sizes are the largest there are, as OpenAI's streamed ones are."""
    endless = 0xFFFFFFFF
    format_chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", endless, b"WAVE") + format_chunk + struct.pack("<4sI", b"data", endless)
