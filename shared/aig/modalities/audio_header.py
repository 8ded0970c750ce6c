"""How long a clip may be, read from its first bytes: nothing is decoded."""

import struct

_UNPACKED = (1, 3)  # PCM of integers and of floats: the only ones whose header tells how long they are
_MP3_BYTES_PER_S = 1_000  # at 8 kbit/s, the lowest rate that there is


def longest_seconds(data: bytes, form: str) -> int | None:
    """An upper bound; None where a few bytes may be any length: silence takes next to nothing in most formats."""
    if form == "mp3" and not data.startswith((b"RIFF", b"OggS", b"fLaC")):
        return -(-len(data) // _MP3_BYTES_PER_S)
    if form == "wav" and data[:4] == b"RIFF" and data[8:16] == b"WAVEfmt " and len(data) >= 36:
        kind, _, rate, _, frame = (int(field) for field in struct.unpack_from("<HHIIH", data, 20))
        if kind in _UNPACKED and rate and frame:
            return -(-len(data) // (rate * frame))
    return None
