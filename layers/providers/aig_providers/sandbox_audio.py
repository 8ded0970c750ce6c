"""Tones as WAV, PCM, FLAC and MP3, silence as Opus: files made frame by frame, without an encoder. Pure.

A tune is a pitch for each beat. Each file carries a comment, and each maker gives its head first and then its frames.
"""

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from aig.modalities.speak import Format

RATE = 8_000  # of FLAC, in which a beat is counted; that of WAV and PCM is three times as much
_TIMES = 3
_LOUD = 12_000  # of 32,767
_LOWEST_HZ, PITCHES = 220.0, 37  # semitones up from there: three octaves


@dataclass(frozen=True, slots=True)
class Tune:
    """`pitches` are semitones above the lowest, None is silence; a beat has `beat` samples of 8 kHz."""

    pitches: Sequence[int | None]
    beat: int
    comment: str

    @property
    def samples(self) -> int:
        return len(self.pitches) * self.beat

    @property
    def seconds(self) -> float:
        return self.samples / RATE


def _hertz(pitch: int) -> float:
    return float(_LOWEST_HZ * 2 ** (pitch / 12))


@cache
def _beat(pitch: int | None, samples: int, rate: int) -> tuple[int, ...]:
    """The samples of a beat, which swells and fades, so that beats join without a click."""
    if pitch is None:
        return (0,) * samples
    turn, swell = 2 * math.pi * _hertz(pitch) / rate, math.pi / samples
    return tuple(round(_LOUD * math.sin(swell * at) * math.sin(turn * at)) for at in range(samples))


def _table(width: int, polynomial: int) -> tuple[int, ...]:
    """Of a CRC that is `width` bits wide, for the highest byte first."""
    top, mask, table = 1 << (width - 1), (1 << width) - 1, []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value & top else 0)
        table.append(value & mask)
    return tuple(table)


_CRC8, _CRC16, _CRC32 = _table(8, 0x07), _table(16, 0x8005), _table(32, 0x04C11DB7)


def _crc(table: Sequence[int], width: int, data: bytes) -> int:
    value, mask, shift = 0, (1 << width) - 1, width - 8
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value


def pcm(tune: Tune) -> Iterator[bytes]:
    """Signed 16 bits, little-endian, mono, at 24 kHz."""
    count = tune.beat * _TIMES
    for pitch in tune.pitches:
        yield struct.pack(f"<{count}h", *_beat(pitch, count, RATE * _TIMES))


def wav_head(comment: str, samples: int) -> bytes:
    """What stands before so many samples of 16 bits, mono, at 24 kHz, with the comment in a LIST of INFO."""
    text = comment.encode() + b"\0"
    text += b"\0" * (len(text) % 2)
    rate = RATE * _TIMES
    info = b"INFOICMT" + struct.pack("<I", len(text)) + text
    size = 2 * samples
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    chunks = form + b"LIST" + struct.pack("<I", len(info)) + info + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + size) + b"WAVE" + chunks


def wav(tune: Tune) -> Iterator[bytes]:
    """The same behind a header."""
    yield wav_head(tune.comment, _TIMES * tune.samples)
    yield from pcm(tune)


def _vorbis_comment(tune: Tune) -> bytes:
    vendor, text = b"sandbox", f"DESCRIPTION={tune.comment}".encode()
    return struct.pack(f"<I{len(vendor)}sII{len(text)}s", len(vendor), vendor, 1, len(text), text)


def flac(tune: Tune) -> Iterator[bytes]:
    """A frame a beat, its samples verbatim. RFC 9639."""
    # Rate, one channel, 16 bits and the number of samples; the frames' sizes and the MD5 may be left open.
    packed = RATE << 44 | 0 << 41 | 15 << 36 | tune.samples
    info = struct.pack(">HH6xQ16x", tune.beat, tune.beat, packed)
    comment = _vorbis_comment(tune)
    yield b"fLaC\x00\x00\x00\x22" + info + b"\x84" + len(comment).to_bytes(3, "big") + comment
    for number, pitch in enumerate(tune.pitches):
        # Frames of one size; the size and the rate are told by a code, and the number as UTF-8 writes it.
        head = b"\xff\xf8\x74\x08" + chr(number).encode() + struct.pack(">H", tune.beat - 1)
        head += bytes([_crc(_CRC8, 8, head)])
        frame = head + b"\x02" + struct.pack(f">{tune.beat}h", *_beat(pitch, tune.beat, RATE))
        yield frame + struct.pack(">H", _crc(_CRC16, 16, frame))


_MP3_RATE, _MP3_SAMPLES, _MP3_BYTES = 24_000, 576, 24
_MP3_HEAD = b"\xff\xf3\x14\xc4"  # MPEG-2 layer III, no CRC, 8 kbit/s, 24 kHz, mono
_MP3_GAIN = 202  # which makes a line of size one about as loud as the other formats are


def _mp3_frame(pitch: int | None) -> bytes:
    """One spectral line of size one, or none: ISO 13818-3, without scale factors and without a bit reservoir.

    Huffman table 1 writes a pair of zeros as 1, of one and zero as 01, of zero and one as 001, then the sign.
    """
    pairs, line = "", 0
    if pitch is not None:
        line = round(_hertz(pitch) * 2 * _MP3_SAMPLES / _MP3_RATE - 0.5)
        pairs = "1" * (line // 2) + ("0010" if line % 2 else "010")
    values = line // 2 + 1 if pairs else 0
    gain = _MP3_GAIN if pairs else 0
    # main_data_begin and a private bit; length, big_values, gain, scale factors, window; the table of each region.
    side = f"{0:09b}{len(pairs):012b}{values:09b}{gain:08b}{0:09b}0{1:05b}{1:05b}{1:05b}{15:04b}{7:03b}00"
    bits = (side + pairs).ljust(8 * (_MP3_BYTES - len(_MP3_HEAD)), "0")
    return _MP3_HEAD + int(bits, 2).to_bytes(_MP3_BYTES - len(_MP3_HEAD), "big")


def _syncsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def mp3_head(comment: str) -> bytes:
    """An ID3 tag (2.4) with the comment in UTF-8."""
    body = b"\x03eng\0" + comment.encode()
    tag = b"COMM" + _syncsafe(len(body)) + b"\0\0" + body
    return b"ID3\x04\0\0" + _syncsafe(len(tag)) + tag


def mp3(tune: Tune) -> Iterator[bytes]:
    """Frames of 24 ms, each with the pitch of its middle, behind a tag."""
    yield mp3_head(tune.comment)
    length = _MP3_SAMPLES * RATE // _MP3_RATE  # in samples of a beat's rate
    for start in range(0, tune.samples, length):
        middle = min(start + length // 2, tune.samples - 1)
        yield _mp3_frame(tune.pitches[middle // tune.beat])


_OPUS_RATE, _PACKET = 48_000, 960  # 20 ms
_SILENCE = b"\xf8\xff\xfe"  # a packet of CELT, full band, mono, that says nothing
_PRE_SKIP = 312
_PACKETS_A_PAGE = 10


def _page(serial: bytes, number: int, flags: int, granule: int, packets: Sequence[bytes]) -> bytes:
    """Whole packets, in an Ogg page. RFC 3533; the packets are to be 65,024 bytes at most together."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS\0" + bytes([flags]) + struct.pack("<Q", granule) + serial + struct.pack("<I", number)
    rest = bytes([len(lacing)]) + lacing + b"".join(packets)
    return head + struct.pack("<I", _crc(_CRC32, 32, head + bytes(4) + rest)) + rest


def opus(tune: Tune) -> Iterator[bytes]:
    """Silence of the tune's length, in Ogg: only an encoder could make Opus sound. RFC 7845."""
    serial = hashlib.sha256(tune.comment.encode()).digest()[:4]
    ident = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, _PRE_SKIP, _OPUS_RATE, 0, 0)
    yield _page(serial, 0, 2, 0, [ident]) + _page(serial, 1, 0, 0, [b"OpusTags" + _vorbis_comment(tune)])
    length = _PRE_SKIP + tune.samples * _OPUS_RATE // RATE
    count = -(-length // _PACKET)
    for number, first in enumerate(range(0, count, _PACKETS_A_PAGE)):
        last = min(first + _PACKETS_A_PAGE, count)
        granule = min(last * _PACKET, length)  # less than the packets of the last page have: they are cut there
        yield _page(serial, 2 + number, 4 if last == count else 0, granule, [_SILENCE] * (last - first))


MAKERS: Mapping[Format, Callable[[Tune], Iterator[bytes]]] = {
    "wav": wav,
    "pcm": pcm,
    "flac": flac,
    "mp3": mp3,
    "opus": opus,
}
