"""How long a WAV may be: by the bytes that are there, for many a header says 0 or 4 GB where it was streamed."""

import struct

_MAX_CHUNKS = 10_000
_UNPACKED = (1, 3, 6, 7)  # PCM of integers and of floats, A-law, mu-law: one sample takes a fixed number of bytes
_EXTENSIBLE = 0xFFFE


def is_wav(data: bytes) -> bool:
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def _bytes_per_second(fmt: bytes) -> int | None:
    """The slowest rate that the fields of a `fmt ` chunk allow, for they may disagree; None for a packed format."""
    if len(fmt) < 16:
        raise ValueError("its WAV header is cut")
    kind, channels, rate, average, frame, bits = struct.unpack_from("<HHIIHH", fmt)
    if kind == _EXTENSIBLE:
        kind = int.from_bytes(fmt[24:26], "little")
    rates = [each for each in (average, rate * frame, rate * channels * -(-bits // 8)) if each]
    return min(rates) if kind in _UNPACKED and rates else None


def longest_seconds(data: bytes) -> float | None:
    """What the bytes behind the header hold; None for ADPCM and other packed formats. Raises ValueError."""
    position = 12
    slowest: list[int | None] = []
    for _ in range(_MAX_CHUNKS):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if name == b"fmt ":
            slowest.append(_bytes_per_second(data[position : position + min(size, 40)]))
        elif name == b"data" or len(name) < 4:
            break
        position += size + size % 2
    rates = [rate for rate in slowest if rate]
    if position > len(data) or not slowest:
        raise ValueError("it is a WAV without sound")
    return (len(data) - position) / min(rates) if len(rates) == len(slowest) else None
