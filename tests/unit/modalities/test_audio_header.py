"""How long a clip may be."""

import struct

import pytest

from aig.modalities.audio_header import longest_seconds


def wav(kind: int = 1, rate: int = 16_000, frame: int = 2, size: int = 32_000) -> bytes:
    head = struct.pack("<HHIIHH", kind, 1, rate, rate * frame, frame, 8 * frame)
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + bytes(size - 40)


@pytest.mark.parametrize(
    ("data", "form", "seconds"),
    [
        (wav(), "wav", 1),
        (wav(size=32_001), "wav", 2),
        (wav(rate=100, frame=1), "wav", 320),  # slow, and so long
        (wav(kind=3), "wav", 1),
        (wav(kind=0x55), "wav", None),  # an MP3 in a WAV's clothes
        (wav(rate=0), "wav", None),
        (wav(frame=0), "wav", None),
        (b"RIFF", "wav", None),
        (b"", "wav", None),
        (bytes(5_000), "wav", None),
        (bytes(5_000), "mp3", 5),
        (b"", "mp3", 0),
        (b"fLaC" + bytes(5_000), "mp3", None),
        (wav(), "mp3", None),
        (bytes(5_000), "flac", None),
        (bytes(5_000), "ogg", None),
    ],
)
def test_longest_seconds(data: bytes, form: str, seconds: int | None) -> None:
    assert longest_seconds(data, form) == seconds
