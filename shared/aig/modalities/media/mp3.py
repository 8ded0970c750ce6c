"""How long an MP3 may be: its frames, one after another, as decoders take them.

What a Xing or VBRI tag claims is not read: the tag is a frame like the others, and the others are counted.
"""

import re

from aig.modalities.media.limits import MAX_SECONDS

# By version (1, or 2 for MPEG 2 and 2.5) and layer, for the indexes 1 to 14: ISO 11172-3 2.4.2.3, ISO 13818-3 2.4.2.3.
_KBIT_S = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SAMPLES = {(1, 1): 384, (1, 2): 1152, (1, 3): 1152, (2, 1): 384, (2, 2): 1152, (2, 3): 576}
_FASTEST_BIT_S = 320_000
_MAX_TAGS = 100


def _frames() -> dict[bytes, tuple[int, float]]:
    """Length in bytes and seconds of a frame, by the second and third byte of its header."""
    frames: dict[bytes, tuple[int, float]] = {}
    for second in range(0xE0, 0x100):
        version_bits, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
        if version_bits == 1 or layer == 4:  # both reserved
            continue
        kind = (1 if version_bits == 3 else 2, layer)
        for third in range(0x10, 0xF0):
            bits, rate_bits, padding = third >> 4, third >> 2 & 3, third >> 1 & 1
            if rate_bits == 3:
                continue
            rate, bit_s = _SAMPLE_RATES[version_bits][rate_bits], 1000 * _KBIT_S[kind][bits - 1]
            slot = 4 if layer == 1 else 1
            length = (_SAMPLES[kind] // 8 // slot * bit_s // rate + padding) * slot
            frames[bytes((second, third))] = (length, _SAMPLES[kind] / rate)
    return frames


_FRAMES = _frames()
# Every second byte goes with every third one. So this finds frames only, and each step of the walk takes time along.
_HEADER = re.compile(
    b"\xff([%b][%b])" % tuple(b"".join(re.escape(bytes([key[n]])) for key in _FRAMES) for n in (0, 1)), re.DOTALL
)
_ZEROS = re.compile(b"\0*")


def _start(data: bytes) -> int:
    """Where the sound begins: behind ID3 tags and the zeros after them."""
    position = 0
    for _ in range(_MAX_TAGS):
        if data[position : position + 3] != b"ID3" or len(data) < position + 10:
            break
        size = 0
        for byte in data[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        position += 10 + size + (10 if data[position + 5] & 0x10 else 0)
    zeros = _ZEROS.match(data, position) if position else None
    return zeros.end() if zeros else position


def is_mp3(data: bytes) -> bool:
    """Whether there is a frame of layer III where sound begins, with another behind it unless the data ends there."""
    start = _start(data)
    header = _HEADER.match(data, start)
    if header is None or header[1][0] & 6 != 2:
        return False
    following = start + _FRAMES[header[1]][0]
    return following + 3 > len(data) or _HEADER.match(data, following) is not None


def longest_seconds(data: bytes) -> float:
    """The time of all frames, counted up to MAX_SECONDS; never less than the bytes last at the highest bit rate."""
    position = start = _start(data)
    seconds = 0.0
    while seconds <= MAX_SECONDS and (header := _HEADER.search(data, position)):
        length, time = _FRAMES[header[1]]
        seconds += time
        position = header.start() + length
    return max(seconds, (len(data) - start) * 8 / _FASTEST_BIT_S)
