"""`sandbox/speech` and `sandbox/transcribe`: files read by hand, and by FFmpeg's decoders where PyAV is installed."""

import io
import math
import struct
import wave
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, get_args

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Sound
from aig.modalities.media import audio as clips
from aig.modalities.speak import Format, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.transcript import Segment, Word
from aig.modalities.upstream import Upstream
from aig_providers.sandbox import ADAPTER
from tests.unit.providers.operations import MODELS, SOUND, ask, spoken

AT = Upstream("sandbox", "speech", "sandbox:")
TEXT = "H\u00e9llo there. All is well!"  # 25 characters, a second and a half
FORMS: tuple[Format, ...] = get_args(Format)
WITH_COMMENT = [form for form in FORMS if form != "pcm"]


async def said(text: str = TEXT, form: Format = "wav", speed: float | None = None) -> bytes:
    chunks = await spoken(ADAPTER, AT, SpeakRequest(MODELS, text, form=form, speed=speed))
    return b"".join(chunk.audio for chunk in chunks)


async def heard(data: bytes = b"", seconds: float = 60.0, **fields: Any) -> TranscribeResult:
    sound = Sound(data, "audio/wav", seconds)
    result: TranscribeResult = await ask(ADAPTER, "transcribe", AT, TranscribeRequest(MODELS, sound, **fields))
    return result


def samples(wav: bytes) -> Sequence[int]:
    with wave.open(io.BytesIO(wav)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, 24_000)
        return array("h", opened.readframes(opened.getnframes()))


def loudest_hertz(heard: Sequence[int]) -> float:
    """By how often it passes through zero."""
    turns = sum((one < 0) != (other < 0) for one, other in pairwise(heard))
    return turns / 2 / (len(heard) / 24_000)


@pytest.mark.parametrize(("speed", "seconds"), [(None, 1.5), (0.25, 6.0), (2.0, 0.75), (4.0, 0.375)])
async def test_a_wav_is_as_long_as_its_text(speed: float | None, seconds: float) -> None:
    data = await said(speed=speed)
    assert len(samples(data)) == seconds * 24_000
    assert len(data) == 8 + int.from_bytes(data[4:8], "little")
    assert clips.read(data).seconds == pytest.approx(seconds, abs=0.02)


async def test_pcm_is_what_is_in_the_wav() -> None:
    assert array("h", await said(form="pcm")) == samples(await said())


async def test_characters_have_tones_and_spaces_are_silent() -> None:
    beats = samples(await said("a b"))
    first, pause, last = (beats[at : at + 1440] for at in (0, 1440, 2880))
    assert set(pause) == {0}
    assert loudest_hertz(first) == pytest.approx(220 * 2 ** ((ord("a") * 7 % 37) / 12), rel=0.03)
    assert loudest_hertz(last) == pytest.approx(220 * 2 ** ((ord("b") * 7 % 37) / 12), rel=0.03)
    assert 8_000 < max(first) <= 12_000


@pytest.mark.parametrize("form", FORMS)
async def test_it_comes_in_pieces_and_is_the_same_each_time(form: Format) -> None:
    chunks = await spoken(ADAPTER, AT, SpeakRequest(MODELS, TEXT, form=form))
    assert len([chunk for chunk in chunks if chunk.audio]) > 3
    assert b"".join(chunk.audio for chunk in chunks) == await said(form=form)
    assert await said("another text", form) != await said(TEXT, form)
    long = await spoken(ADAPTER, AT, SpeakRequest(MODELS, "word " * 800, form=form))
    assert 10 <= len(long) < 200


def bitwise_crc(data: bytes, width: int, polynomial: int) -> int:
    """By the definition."""
    value = 0
    for byte in data:
        value ^= byte << (width - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (width - 1) else 0)
            value &= (1 << width) - 1
    return value


async def test_flac_by_hand() -> None:
    """RFC 9639: every frame's checksums, and its samples, which are those of the WAV but at another rate."""
    data = await said(form="flac")
    assert data[:8] == b"fLaC\x00\x00\x00\x22"
    smallest, largest, packed = struct.unpack_from(">HH6xQ", data, 8)
    assert (smallest, largest) == (480, 480)
    assert (packed >> 44, packed >> 41 & 7, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1) == (8000, 0, 16, 12_000)
    at = 46 + int.from_bytes(data[43:46], "big")
    assert data[42] == 0x84  # the last block, a comment
    for number in range(25):
        head, frame = data[at : at + 7], data[at : at + 8 + 1 + 960]
        assert head == b"\xff\xf8\x74\x08" + bytes([number]) + struct.pack(">H", 479)
        assert data[at + 7] == bitwise_crc(head, 8, 0x07)
        assert data[at + 8] == 2  # verbatim
        assert int.from_bytes(data[at + len(frame) : at + len(frame) + 2], "big") == bitwise_crc(frame, 16, 0x8005)
        at += len(frame) + 2
    assert at == len(data)


async def test_mp3_by_hand() -> None:
    """After the tag nothing but frames of 24 ms."""
    data = await said(form="mp3")
    assert data[:6] == b"ID3\x04\0\0"
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    frames = [data[at : at + 24] for at in range(10 + size, len(data), 24)]
    assert {frame[:4] for frame in frames} == {b"\xff\xf3\x14\xc4"}
    assert len(frames) == math.ceil(1.5 / 0.024)
    assert len(set(frames)) > 5


def pages(data: bytes) -> Iterator[tuple[int, int, list[bytes]]]:
    """Of an Ogg file, checksums checked: flags, granule position, packets."""
    at = 0
    while at < len(data):
        pattern, _, flags, granule, _, _, crc, count = struct.unpack_from("<4sBBQ4sIIB", data, at)
        assert pattern == b"OggS"
        lacing, start = data[at + 27 : at + 27 + count], at + 27 + count
        end = start + sum(lacing)
        page = data[at : at + 22] + bytes(4) + data[at + 26 : end]
        assert crc == bitwise_crc(page, 32, 0x04C11DB7)
        packets, packet = [], 0
        for size in lacing:
            packet += size
            if size < 255:
                packets.append(data[start : start + packet])
                start, packet = start + packet, 0
        yield flags, granule, packets
        at = end


async def test_opus_by_hand() -> None:
    data = await said("word " * 100, form="opus")
    head, tags, *rest = pages(data)
    assert head == (2, 0, [struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 312, 48_000, 0, 0)])
    assert tags[2][0][:8] == b"OpusTags"
    assert [flags for flags, _, _ in rest] == [0] * (len(rest) - 1) + [4]
    assert rest[-1][1] - 312 == 500 * 0.06 * 48_000
    assert sum(len(packets) for _, _, packets in rest) * 960 >= rest[-1][1]
    assert [granule for _, granule, _ in rest] == sorted(granule for _, granule, _ in rest)


@pytest.mark.parametrize("speed", [None, 0.25, 1.3, 4.0])
@pytest.mark.parametrize("form", WITH_COMMENT)
async def test_decoders_take_the_files(form: Format, speed: float | None) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed here")
    with av.open(io.BytesIO(await said(form=form, speed=speed))) as opened:
        (stream,) = opened.streams
        frames = [(frame.samples, frame.to_ndarray()) for frame in opened.decode(stream)]
        rate = stream.codec_context.sample_rate
        assert opened.format.name == {"opus": "ogg"}.get(form, form)
        assert TEXT in {**opened.metadata, **stream.metadata}["comment"]
    length = sum(count for count, _ in frames) / rate
    assert length == pytest.approx(25 * 0.06 / (speed or 1), abs=0.025)
    loudest = max(float(abs(values).max()) for _, values in frames)
    full = 32_768 if form in ("wav", "flac") else 1.0  # as FFmpeg decodes them
    assert loudest / full == pytest.approx(0.0 if form == "opus" else 0.36, abs=0.1)


async def test_a_text_that_is_too_long_is_refused() -> None:
    assert len(samples(await said("x" * 4096, speed=4.0))) == 4096 * 360
    with pytest.raises(UpstreamError) as raised:
        await said("x" * 4097)
    error = raised.value
    assert (error.kind, error.status, error.code, error.param) == ("rejected", 400, "string_above_max_length", "input")


@pytest.mark.parametrize("text", [TEXT, "", " two\nlines ", "\u65e5\u672c\u8a9e \U0001f600 \0", "x" * 4096])
@pytest.mark.parametrize("form", WITH_COMMENT)
async def test_what_was_spoken_is_heard(form: Format, text: str) -> None:
    result = await heard(await said(text, form), seconds=999.0, granularities=frozenset({"word", "segment"}))
    assert result.text == text
    assert result.seconds == pytest.approx(len(text) * 0.06)
    assert (result.language, result.usage and result.usage.units) == ("en", {"seconds": math.ceil(len(text) * 0.06)})
    assert [word.word for word in result.words] == text.split()


async def test_words_and_sentences_share_the_time() -> None:
    data = await said("One two. Three four")  # 1.14 s
    result = await heard(data, granularities=frozenset({"word", "segment"}))
    assert result.words == [
        Word("One", 0.0, 0.285),
        Word("two.", 0.285, 0.57),
        Word("Three", 0.57, 0.855),
        Word("four", 0.855, 1.14),
    ]
    assert result.segments == [Segment(0.0, 0.57, "One two."), Segment(0.57, 1.14, "Three four")]


async def test_only_what_was_asked_for_has_times() -> None:
    data = await said()
    plain, words = await heard(data), await heard(data, granularities=frozenset({"word"}))
    segments = await heard(data, granularities=frozenset({"segment"}))
    assert [(bool(one.words), bool(one.segments)) for one in (plain, words, segments)] == [
        (False, False),
        (True, False),
        (False, True),
    ]


async def test_languages() -> None:
    data = await said()
    assert (await heard(data, language="fr")).language == "fr"
    into = await heard(data, language="fr", into_english=True, granularities=frozenset({"word"}))
    assert into.text == f"[en] {TEXT}"
    assert into.words[0].word == "[en]"


async def test_any_other_recording_is_named_by_its_length_and_hash() -> None:
    one, other = await heard(SOUND.data, 3.2), await heard(b"another", 3.2)
    assert one.text.startswith("sandbox heard 3.2 seconds of audio/wav with the hash ")
    assert one.text != other.text
    assert one == await heard(SOUND.data, 3.2)
    assert (one.seconds, one.usage and one.usage.units) == (3.2, {"seconds": 4})


async def test_a_file_cannot_claim_to_be_longer_than_it_may_be() -> None:
    result = await heard(b"sandbox/speech (99999.000 s, 9999 bytes): cut\xff", seconds=2.0)
    assert (result.text, result.seconds) == ("cut\ufffd", 2.0)
