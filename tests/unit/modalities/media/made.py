"""Clips made by hand, bytes that no encoder was needed for."""

import io
import struct
import wave
from collections.abc import Sequence

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


def descriptor(tag: int, content: bytes, *, long: bool = False) -> bytes:
    size = len(content)
    return bytes([tag]) + (b"\x80\x80\x80" if long else b"") + bytes([size]) + content


def esds(config: bytes = b"\x12\x10", kind: int = 0x40, flags: int = 0, *, long: bool = False) -> bytes:
    """Of AAC-LC at 44.1 kHz unless the decoder's configuration says something else."""
    decoder = bytes([kind, 0x15]) + bytes(11) + descriptor(5, config, long=long)
    stream = b"\0\1" + bytes([flags]) + descriptor(4, decoder, long=long) + descriptor(6, b"\2", long=long)
    return full_box(b"esds", tail=descriptor(3, stream, long=long))


def stsd(*entries: bytes) -> bytes:
    return full_box(b"stsd", len(entries), tail=b"".join(entries))


def entry(name: bytes, *boxes: bytes) -> bytes:
    return box(name, bytes(28), *boxes)


AAC = stsd(entry(b"mp4a", esds()))


FTYP = box(b"ftyp", b"M4A \0\0\0\0")


def element(name: int, content: bytes, size: int | None = None) -> bytes:
    """Of EBML, with eight bytes of size; -1: unknown."""
    length = len(content) if size is None else size
    coded = (1 << 56 | length).to_bytes(8, "big") if length >= 0 else b"\1" + b"\xff" * 7
    return name.to_bytes(-(-name.bit_length() // 8), "big") + coded + content


def movie(*tracks: bytes, seconds: int = 0, more: bytes = b"") -> bytes:
    return FTYP + box(b"moov", full_box(b"mvhd", 0, 0, 1000, seconds * 1000), *tracks, more)


def track(*tables: bytes, units: int = 0, handler: bytes = b"soun", number: int = 1, version: int = 0) -> bytes:
    if version:
        times = struct.pack(">QQIQ", 0, 0, 44_100, units)
        header = full_box(b"tkhd", version=1, tail=struct.pack(">QQI", 0, 0, number))
        media = full_box(b"mdhd", version=1, tail=times)
    else:
        header = full_box(b"tkhd", 0, 0, number)
        media = full_box(b"mdhd", 0, 0, 44_100, units)
    inside = box(b"minf", box(b"stbl", *tables))
    return box(b"trak", header, box(b"mdia", media, full_box(b"hdlr", 0, tail=handler), inside))


def fragment(*runs: bytes, number: int = 1, flags: int = 0, numbers: Sequence[int] = ()) -> bytes:
    return box(b"moof", box(b"traf", full_box(b"tfhd", number, *numbers, flags=flags), *runs))


def stsz(*sizes: int, count: int = 0, each: int = 0) -> bytes:
    return full_box(b"stsz", each, count or len(sizes), *sizes)


EXTENDS = box(b"mvex", full_box(b"trex", 1, 1, 1024, 0, 0))
ALL_ONES = 0xFFFFFFFF


def webm(*content: bytes, size: int | None = None) -> bytes:
    return element(0x1A45DFA3, b"") + element(0x18538067, b"".join(content), size)


def cluster(time: int, *offsets: int, size: int | None = None, name: int = 0xA3) -> bytes:
    blocks = [element(name, b"\x81" + struct.pack(">h", offset) + b"\x80x") for offset in offsets]
    if name == 0xA1:
        blocks = [element(0xA0, block) for block in blocks]
    return element(0x1F43B675, element(0xE7, time.to_bytes(4, "big")) + b"".join(blocks), size)


def tracks(*named: tuple[int, bytes | None], more: bytes = b"") -> bytes:
    entries = [
        element(0xAE, element(0xD7, bytes([number])) + (element(0x86, codec) if codec is not None else b"") + more)
        for number, codec in named
    ]
    return element(0x1654AE6B, b"".join(entries))


def info(duration: bytes, scale: int | None = 1_000_000) -> bytes:
    scales = b"" if scale is None else element(0x2AD7B1, scale.to_bytes(4, "big"))
    return element(0x1549A966, scales + element(0x4489, duration))
