"""How long a frame of AAC in an MP4 lasts, by the decoder's configuration (ISO 14496-1 7.2.6, ISO 14496-3 1.6.2)."""

_SAMPLES = 1024  # at the core's rate; of HE-AAC too, which doubles both
_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_OWN_RATE = 15
_OBJECT_TYPES = (0x40, 0x66, 0x67, 0x68)  # AAC of MPEG 4 and of MPEG 2; among the others is MP3
_AUDIO_TYPES = (1, 2, 3, 4, 5, 29)  # Main, LC, SSR, LTP and the two of HE-AAC: xHE-AAC has longer frames
_STREAM, _DECODER, _SPECIFIC = 3, 4, 5


def _content(tag: int, data: bytes) -> bytes:
    """Of the first descriptor if it is of this kind, else nothing. Its size has seven bits a byte, in four at most."""
    position, size = 1, 0
    for byte in data[1:5]:
        size, position = size << 7 | byte & 0x7F, position + 1
        if byte < 0x80:
            break
    return data[position : position + size] if data[:1] == bytes([tag]) else b""


def _frame_seconds(config: bytes) -> float | None:
    bits = int.from_bytes(config[:5].ljust(5, b"\0"), "big")
    kind, index = bits >> 35, bits >> 31 & 15
    rate = bits >> 7 & 0xFFFFFF if index == _OWN_RATE else (*_RATES, 0, 0)[index]
    return _SAMPLES / rate if rate and kind in _AUDIO_TYPES else None


def longest_frame(esds: bytes) -> float | None:
    """Seconds of a frame, from the descriptors in an `esds`; None for what is no AAC or is not laid out as usual."""
    stream = _content(_STREAM, esds)
    decoder = _content(_DECODER, stream[3:]) if stream[2:3] and not stream[2] & 0xE0 else b""
    config = _content(_SPECIFIC, decoder[13:])
    return _frame_seconds(config) if decoder[:1] and decoder[0] in _OBJECT_TYPES else None
