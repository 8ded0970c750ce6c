"""Clips made by hand, bytes that no encoder was needed for."""

import io
import struct
import wave

from aig.modalities.media.flac import _CRC8

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz
MP3_FRAME_S = 1152 / 44_100
OPUS_20_MS = b"\x78\0"  # CELT, one frame of 20 ms


def wav(seconds: float, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setframerate(rate)
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.writeframes(bytes(int(seconds * rate) * channels * width))
    return file.getvalue()


def fmt(
    kind: int = 1, channels: int = 1, rate: int = 8000, average: int = 16_000, frame: int = 2, bits: int = 16
) -> bytes:
    return struct.pack("<HHIIHH", kind, channels, rate, average, frame, bits)


def riff(*chunks: tuple[bytes, bytes], claimed: int | None = None, magic: bytes = b"RIFF") -> bytes:
    """A WAV of these chunks; of the last one the header may claim another size."""
    body = b""
    for position, (name, content) in enumerate(chunks):
        last = position == len(chunks) - 1
        size = claimed if last and claimed is not None else len(content)
        body += name + struct.pack("<I", size) + content + bytes(len(content) % 2)
    return magic + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def id3(size: int, flags: int = 0, claimed: int | None = None) -> bytes:
    claimed = size if claimed is None else claimed
    sizes = bytes(claimed >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0" + bytes([flags]) + sizes + bytes(size) + (b"3DI" + bytes(7) if flags & 0x10 else b"")


def flac_head(total: int, rate: int = 44_100, channels: int = 2, bits: int = 16, *, more: bytes = b"") -> bytes:
    fields = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | total
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + fields.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0 if more else 0x80, 0, 0, 34]) + info + more


def flac_frame(sizes: int = 0xC9, number: bytes = b"\0", behind: bytes = b"", *, sync: bytes = b"\xff\xf8") -> bytes:
    """A frame of 4096 samples unless its third byte says something else."""
    head = sync + bytes([sizes, 0x18]) + number + behind
    check = 0
    for byte in head:
        check = _CRC8[check ^ byte]
    return head + bytes([check]) + bytes(8)


def ogg_page(granule: int, *packets: bytes, flags: int = 0, cut: bool = False) -> bytes:
    """A page of whole packets; with `cut` the last of them, 255 bytes or a multiple, goes on upon the next page."""
    lacing = b""
    for position, packet in enumerate(packets):
        lacing += b"\xff" * (len(packet) // 255)
        if not (cut and position == len(packets) - 1):
            lacing += bytes([len(packet) % 255])
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, 7, 0, 0) + bytes([len(lacing)])
    return head + lacing + b"".join(packets)


def opus_start() -> bytes:
    return ogg_page(0, b"OpusHead\1\2" + bytes(9), flags=2) + ogg_page(0, b"OpusTags" + bytes(8))


def vorbis_start(rate: int = 44_100, nominal: int = 128_000) -> bytes:
    return ogg_page(0, b"\1vorbis" + struct.pack("<IBIiii", 0, 2, rate, 0, nominal, 0) + b"\xb8\1", flags=2)


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + name + body


def full_box(name: bytes, *numbers: int, version: int = 0, flags: int = 0, tail: bytes = b"") -> bytes:
    """With version and flags, and then numbers of four bytes."""
    return box(name, struct.pack(f">I{len(numbers)}I", version << 24 | flags, *numbers), tail)


FTYP = box(b"ftyp", b"M4A \0\0\0\0")


def element(name: int, content: bytes, size: int | None = None) -> bytes:
    """Of EBML, with eight bytes of size; -1: unknown."""
    length = len(content) if size is None else size
    coded = (1 << 56 | length).to_bytes(8, "big") if length >= 0 else b"\1" + b"\xff" * 7
    return name.to_bytes(-(-name.bit_length() // 8), "big") + coded + content
