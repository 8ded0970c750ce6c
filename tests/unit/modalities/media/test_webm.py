"""How long a WebM may be: by its packets, whatever its times say."""

import struct
from typing import Any

import pytest

from aig.modalities.media import audio, matroska
from aig.modalities.media.limits import MAX_PARTS, MAX_SECONDS, TooManyParts
from tests.unit.modalities.media.made import OPUS_20_MS, cluster, element, info, tracks, webm

about = pytest.approx


@pytest.mark.parametrize(
    ("duration", "scale", "seconds"),
    [
        (struct.pack(">d", 5000), 1_000_000, 5),
        (struct.pack(">f", 5000), None, 5),
        (struct.pack(">d", 5000), 0, 5),
        (struct.pack(">d", 5000), 2_000_000, 10),
        (struct.pack(">d", float("nan")), None, None),
        (struct.pack(">d", float("inf")), None, None),
        (struct.pack(">d", -5), None, None),
        (b"", None, None),
        (b"123", None, None),
    ],
)
def test_what_the_header_says(duration: bytes, scale: int | None, seconds: float | None) -> None:
    assert audio.read(webm(info(duration, scale))) == audio.Clip("audio/webm", seconds)


@pytest.mark.parametrize("name", [0xA3, 0xA1], ids=["simple blocks", "groups"])
@pytest.mark.parametrize("size", [None, -1], ids=["sized", "live"])
def test_the_last_block_of_what_a_browser_records(size: int | None, name: int) -> None:
    parts = (cluster(0, 0, 60, size=size, name=name), cluster(5000, -10, 60, 30, size=size, name=name))
    assert matroska.longest_seconds(webm(*parts, size=size)) == about(5.06 + 0.12)


def test_the_longer_of_both() -> None:
    claim = struct.pack(">d", 1000)
    assert matroska.longest_seconds(webm(info(claim), cluster(5000, 0))) == about(5.12)
    assert matroska.longest_seconds(webm(info(claim), cluster(500, 0))) == 1


def test_nothing_or_a_cut_file() -> None:
    for data in (webm(), webm()[:10], webm(cluster(3)), webm() + b"\x00\x00", webm() + b"\x81"):
        assert audio.read(data).seconds is None
    assert matroska.longest_seconds(webm(cluster(1000, 0))[:-4]) == about(1.12, abs=0.1)


@pytest.mark.parametrize(
    ("block", "ms"),
    [
        (b"\x80" + OPUS_20_MS, 20),
        (b"\x80\xfb\x06", 120),
        (b"\x86\x03" + OPUS_20_MS, 480),  # laced, by each of the three ways
        (b"\x82\x00", 120),
        (b"\x84", 120),
    ],
)
def test_opus_by_its_packets_whatever_the_times_say(block: bytes, ms: int) -> None:
    blocks = element(0xA3, b"\x81\0\0" + block) * 100
    data = webm(info(struct.pack(">d", 1)), tracks((1, b"A_OPUS")), element(0x1F43B675, blocks))
    assert matroska.longest_seconds(data) == about(ms / 10)


def test_of_several_tracks_the_longest_with_sound() -> None:
    blocks = b"".join(element(0xA3, bytes([0x80 + number]) + b"\0\0\x80\xfb\x3f") for number in (1, 1, 1, 2, 2, 3))
    named = tracks((1, b"V_VP9"), (2, b"A_OPUS\0"), (3, b"A_OPUS"), (4, b"S_TEXT/UTF8"))
    assert matroska.longest_seconds(webm(named, element(0x1F43B675, blocks))) == about(2 * 63 * 0.02)


def test_packets_that_are_packed_count_as_the_longest() -> None:
    named = tracks((1, b"A_OPUS"), more=element(0x6D80, b""))
    blocks = element(0xA3, b"\x81\0\0\x80" + OPUS_20_MS) * 100
    assert matroska.longest_seconds(webm(named, element(0x1F43B675, blocks))) == about(12)


@pytest.mark.parametrize(
    ("named", "more"),
    [
        (b"", b""),
        (element(0x86, b"A_OPUS") + element(0xD7, b"\1"), b""),  # outside of any track
        ([(1, b"A_VORBIS")], b""),
        ([(1, b"A_OPUS"), (2, b"A_AAC")], b""),
        ([(1, b"V_VP8")], b""),
        ([(1, None)], b""),
        ([(2, b"A_OPUS")], b""),
        ([(1, b"A_OPUS")], element(0xEC, cluster(0, 0))),
        ([(1, b"A_OPUS")], b"\0\0" + cluster(0, 0)),
    ],
    ids=["no tracks", "stray", "Vorbis", "AAC", "a film", "no codec", "no block", "in a void", "behind rubbish"],
)
def test_other_sound_or_clusters_that_may_hide_are_bounded_by_bytes(named: Any, more: bytes) -> None:
    content = named if isinstance(named, bytes) else tracks(*named)
    data = webm(content, cluster(0, 0), element(0xEC, bytes(90_000)), more)
    assert matroska.longest_seconds(data) == about(90_000 * 8 / 6000, rel=0.02)


def test_twenty_megabytes_of_a_film_are_not_refused() -> None:
    data = webm(tracks((1, b"V_VP8"), (2, b"A_VORBIS")), cluster(0, 0), element(0xEC, bytes(20_000_000)))
    assert audio.read(data).seconds == MAX_SECONDS


def test_too_many_elements() -> None:
    with pytest.raises(TooManyParts):
        matroska.longest_seconds(webm(b"\xec\x80" * MAX_PARTS))
