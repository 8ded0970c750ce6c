"""How long an MP4 may be: by its samples, whatever its boxes say."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest

from aig.modalities.media import audio, mp4
from aig.modalities.media.limits import MAX_PARTS, MAX_SECONDS, TooManyParts
from tests.unit.modalities.media.made import (
    AAC,
    ALL_ONES,
    EXTENDS,
    FTYP,
    box,
    entry,
    esds,
    fragment,
    full_box,
    movie,
    stsd,
    stsz,
    track,
)


def about(seconds: float, rel: float | None = None) -> Any:
    return pytest.approx(seconds, rel=rel)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (movie(seconds=12), 12),
        (movie(track(units=44_100 * 12)), 12),
        (movie(track(units=44_100 * 12, version=1), seconds=3), 12),
        (movie(track(full_box(b"stts", 2, 430, 1024, 1, 512)), seconds=3), (430 * 1024 + 512) / 44_100),
        (movie(track(full_box(b"stts", ALL_ONES, 430, 1024))), 430 * 1024 / 44_100),
        (FTYP + box(b"moov", full_box(b"mvhd", 0, 0, 1000, ALL_ONES), track(units=44_100)), 1),
        (movie(track(units=(1 << 64) - 1, version=1), seconds=2), 2),
        (movie(more=box(b"mvex", full_box(b"mehd", 5000))), 5),
        (movie(more=box(b"mvex", full_box(b"mehd", 0, 5000, version=1))), 5),
        (movie(box(b"free", bytes(30)), seconds=2) + box(b"mdat", bytes(30)), 2),
    ],
)
def test_whatever_tells_the_longest_time(data: bytes, seconds: float) -> None:
    assert audio.read(data) == audio.Clip("audio/mp4", about(seconds))


def test_boxes_of_large_and_of_open_size() -> None:
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"12345"
    last = struct.pack(">I4s", 0, b"mdat") + bytes(50)
    assert mp4.longest_seconds(FTYP + large + movie(seconds=4)[len(FTYP) :] + last) == 4


@pytest.mark.parametrize(
    ("fragments", "frames"),
    [
        ((fragment(full_box(b"trun", 40)), fragment(full_box(b"trun", 3))), 43),
        ((fragment(full_box(b"trun", 40), flags=0x8, numbers=[2048]),), 80),
        ((fragment(full_box(b"trun", 40), flags=0xB, numbers=[0, 0, 1, 2048]),), 80),
        ((fragment(full_box(b"trun", 2, 0, 1024, 7, 2048, 7, flags=0x301)),), 3),  # samples are as long as they say
        ((fragment(full_box(b"trun", 2, 0, 0, 1024, 2048, flags=0x105)),), 3),
        ((fragment(full_box(b"trun", 1, 1024, flags=0x100)),), 1),
        ((fragment(full_box(b"trun", 99, 1024, flags=0x100)),), 99),
        ((fragment(full_box(b"trun", 40)), fragment(full_box(b"trun", 9), number=2)), 40),
    ],
)
def test_pieces_as_browsers_record_them(fragments: Sequence[bytes], frames: int) -> None:
    data = movie(track(AAC), more=EXTENDS) + b"".join(fragments)
    assert mp4.longest_seconds(data) == about(frames * 1024 / 44_100)


def test_no_time_anywhere() -> None:
    assert audio.read(FTYP + box(b"mdat", bytes(100))).seconds is None
    assert audio.read(movie(track())).seconds is None
    assert audio.read(FTYP + box(b"moov", full_box(b"mvhd", 0, 0, 0, 5))).seconds is None


@pytest.mark.parametrize(
    ("config", "rate"),
    [
        (b"\x12\x10", 44_100),
        (b"\x11\x90", 48_000),
        (b"\x2b\x92\x08\x00", 22_050),  # HE-AAC: the core's rate
        (b"\x17\x80\x0f\xa0\x08", 8000),  # the rate in hertz
    ],
)
@pytest.mark.parametrize("long", [True, False])
def test_frames_of_aac_last_as_long_as_the_decoder_s_rate_says(config: bytes, rate: int, long: bool) -> None:
    described = stsd(entry(b"mp4a", esds(config, long=long)))
    lying = movie(track(described, stsz(*[20] * 1000), units=1), seconds=1)
    assert mp4.longest_seconds(lying) == about(1000 * 1024 / rate)


@pytest.mark.parametrize("handler", [b"soun", b"vide"])
def test_what_the_track_calls_itself_changes_nothing(handler: bytes) -> None:
    lying = movie(track(AAC, stsz(*[20] * 1000), units=1, handler=handler))
    assert mp4.longest_seconds(lying) == about(1000 * 1024 / 44_100)


def test_several_frames_in_a_sample_last_as_long_as_their_bytes() -> None:
    data = box(b"mdat", bytes(160_000))
    assert mp4.longest_seconds(movie(track(AAC, stsz(160_000), units=1)) + data) == about(10, rel=0.01)
    assert mp4.longest_seconds(movie(track(AAC, stsz(9), units=1)) + data) == about(10, rel=0.01)
    beside = track(stsd(entry(b"tx3g")), stsz(9))
    for sizes in (stsz(80_000, 80_000), stsz(count=2, each=80_000)):
        assert mp4.longest_seconds(movie(track(AAC, sizes, units=1), beside) + data) == about(10)
    assert mp4.longest_seconds(movie(track(AAC, stsz(count=1, each=ALL_ONES)), beside) + data) == about(10, rel=0.01)


def test_pictures_are_no_sound() -> None:
    film = track(stsd(entry(b"avc1")), stsz(*[9000] * 3000), units=44_100)
    sound = track(AAC, stsz(*[20] * 100), number=2)
    data = box(b"mdat", bytes(1_000_000))
    assert mp4.longest_seconds(movie(film, sound) + data) == about(100 * 1024 / 44_100)
    assert mp4.longest_seconds(movie(film) + data) == about(1_000_000 * 8 / 6000, rel=0.05)


def test_apple_lossless_by_its_frames_and_opus_by_the_longest_packets() -> None:
    cookie = full_box(b"alac", 4096, 0, 0, 0, 0, 44_100)
    lossless = movie(track(stsd(entry(b"alac", cookie)), stsz(*[9000] * 10)))
    assert mp4.longest_seconds(lossless) == about(10 * 4096 / 44_100)
    opus = stsd(entry(b"Opus"))
    assert mp4.longest_seconds(movie(track(opus, stsz(*[9] * 10)))) == about(1.2)
    assert audio.read(movie(track(opus, stsz(count=100_000, each=9)))).seconds == MAX_SECONDS


@pytest.mark.parametrize(
    "described",
    [
        b"",
        stsd(),
        stsd(entry(b"ac-3")),
        stsd(entry(b"mp4a")),
        stsd(entry(b"mp4a", esds(kind=0x6B))),
        stsd(entry(b"mp4a", esds(flags=0x80))),
        stsd(entry(b"mp4a", esds(b"\xf8\x10"))),
        stsd(entry(b"mp4a", esds(b"\x16\x90"))),
        stsd(entry(b"mp4a", esds(b"\x17\x80\0\0\0"))),
        stsd(entry(b"mp4a", esds(b""))),
        stsd(entry(b"mp4a", esds(), esds())),
        stsd(entry(b"mp4a", full_box(b"esds"))),
        stsd(entry(b"mp4a", full_box(b"esds", tail=b"\4\0"))),
        stsd(entry(b"mp4a", full_box(b"esds", tail=b"\3\x80\x80\x80\x80"))),
        stsd(entry(b"mp4a", esds()), entry(b"ac-3")),
        stsd(entry(b"mp4a", esds()), b"\0\0\0\1mp4a"),
        stsd(entry(b"mp4a", esds()), b"\0\1\0\0mp4a"),
        stsd(*[entry(b"mp4a", esds())] * 101),
        stsd(*[entry(b"mp4a", esds())] * 100) + stsd(entry(b"ac-3")) + stsd(entry(b"ac-3")),
        stsd(entry(b"alac")),
        stsd(entry(b"alac", full_box(b"alac", *[4096] * 9), box(b"alac"))),
    ],
)
def test_sound_of_another_codec_is_bounded_by_its_bytes(described: bytes) -> None:
    data = movie(track(described, stsz(*[90] * 1000), units=44_100)) + box(b"mdat", bytes(90_000))
    assert mp4.longest_seconds(data) == about(len(data) * 8 / 6000)


@pytest.mark.parametrize(
    "hidden", [box(b"cmov"), full_box(b"stz2", 8, 9), box(b"udta", full_box(b"stsz")), box(b"udta", box(b"trun"))]
)
def test_samples_that_may_hide_are_bounded_by_bytes(hidden: bytes) -> None:
    data = movie(track(AAC, stsz(9), units=44_100), more=hidden) + box(b"mdat", bytes(90_000))
    assert mp4.longest_seconds(data) == about(len(data) * 8 / 6000)


def test_twenty_megabytes_of_an_unknown_codec_are_not_refused() -> None:
    data = movie(track(stsd(entry(b"ac-3")), units=44_100)) + box(b"mdat", bytes(20_000_000))
    assert audio.read(data).seconds == MAX_SECONDS


def test_too_much_to_read() -> None:
    with pytest.raises(TooManyParts):
        mp4.longest_seconds(FTYP + box(b"free") * MAX_PARTS)
    with pytest.raises(TooManyParts):
        mp4.longest_seconds(movie(track(full_box(b"stts", ALL_ONES, tail=bytes(4 * MAX_PARTS + 8)))))
    with pytest.raises(TooManyParts):
        mp4.longest_seconds(movie(box(b"trak") * 1000))


def test_samples_of_one_unit_each_are_bounded_by_bytes() -> None:
    """As of what is not packed. FFmpeg then takes bytes by chunks, whatever sizes the samples have."""
    data = movie(track(AAC, stsz(9), full_box(b"stts", 1, 1, 1))) + box(b"mdat", bytes(90_000))
    assert mp4.longest_seconds(data) == about(len(data) * 8 / 6000)


def test_a_box_that_ends_in_its_own_head_tells_nothing() -> None:
    data = movie(track()) + box(b"moof", box(b"traf", box(b"trun", b"\0\0\1\1")))
    assert audio.read(data).seconds is None or audio.read(data).seconds == pytest.approx(0, abs=1)
