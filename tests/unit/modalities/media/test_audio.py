"""How long a clip may be: never less than what a decoder would find, and never more because of a header's lie."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.media import audio, flac, limits, mp3, ogg, wav
from aig.modalities.media.limits import MAX_PARTS, MAX_SECONDS, TooLarge, TooManyParts
from tests.unit.modalities.media.made import (
    AAC,
    EXTENDS,
    FTYP,
    MP3_FRAME,
    MP3_FRAME_S,
    OPUS_20_MS,
    cluster,
    flac_frame,
    flac_head,
    fmt,
    fragment,
    full_box,
    id3,
    info,
    movie,
    ogg_page,
    opus_start,
    riff,
    stsz,
    track,
    tracks,
    vorbis_start,
    webm,
)
from tests.unit.modalities.media.made import wav as made_wav


def about(seconds: float, rel: float | None = None, abs: float | None = None) -> Any:  # noqa: A002 pytest's names
    return pytest.approx(seconds, rel=rel, abs=abs)


SECOND = ((b"fmt ", fmt()), (b"data", bytes(16_000)))


class TestWav:
    @pytest.mark.parametrize(
        ("rate", "channels", "width"), [(8000, 1, 1), (16_000, 1, 2), (44_100, 2, 3), (48_000, 6, 4)]
    )
    def test_as_the_standard_library_writes_it(self, rate: int, channels: int, width: int) -> None:
        assert audio.read(made_wav(1.5, rate, channels, width)) == audio.Clip("audio/wav", 1.5)

    @pytest.mark.parametrize("claimed", [0, 1, 36_000 * 16_000, 0xFFFFFFFF])
    def test_what_the_header_claims_is_not_believed(self, claimed: int) -> None:
        assert wav.longest_seconds(riff(*SECOND, claimed=claimed)) == 1

    @pytest.mark.parametrize(
        ("form", "seconds"),
        [
            (fmt(average=1 << 31), 1),  # the bytes would be over at once
            (fmt(average=1600), 10),
            (fmt(average=0), 1),
            (fmt(average=0, frame=0), 1),
            (fmt(average=0, frame=0xFFFF), 1),
            (fmt(average=0, bits=0), 1),
            (fmt(3), 1),
            (fmt(6, average=8000, frame=1, bits=8), 2),
            (fmt(7, average=8000, frame=1, bits=8), 2),
            (fmt(0xFFFE) + struct.pack("<HHI", 22, 16, 0) + b"\1\0" + bytes(14), 1),
            (fmt(0xFFFE) + struct.pack("<HHI", 22, 16, 0) + b"\2\0" + bytes(14), None),
            (fmt(0xFFFE), None),
            (fmt(2), None),  # ADPCM
            (fmt(0x55), None),  # an MP3 in a WAV's clothes
            (fmt(rate=0, average=0), None),
        ],
    )
    def test_what_the_format_says(self, form: bytes, seconds: float | None) -> None:
        assert wav.longest_seconds(riff((b"fmt ", form), (b"data", bytes(16_000)))) == seconds

    def test_other_chunks_and_a_64_bit_header(self) -> None:
        chunks = ((b"ds64", bytes(28)), (b"odd ", b"abc"), *SECOND)
        assert wav.longest_seconds(riff(*chunks, magic=b"RF64", claimed=0xFFFFFFFF)) == 1

    def test_of_two_formats_the_slower_one(self) -> None:
        assert wav.longest_seconds(riff((b"fmt ", fmt(average=1000)), *SECOND)) == 16
        assert wav.longest_seconds(riff((b"fmt ", fmt(2)), *SECOND)) is None

    @pytest.mark.parametrize(
        "data",
        [
            riff(),
            riff((b"fmt ", fmt())),
            riff((b"fmt ", fmt()[:15]), (b"data", bytes(8))),
            riff((b"data", bytes(8))),
            riff(*SECOND)[:43],
            riff((b"fmt ", fmt()), (b"data", b"")),
            riff(*[(b"junk", b"")] * 10_001, *SECOND),
        ],
        ids=["nothing", "no data", "cut format", "no format", "cut header", "empty data", "10 000 chunks"],
    )
    def test_one_without_sound(self, data: bytes) -> None:
        with pytest.raises(ValueError, match=r"without sound|header is cut|holds no sound"):
            audio.read(data)


class TestMp3:
    def test_frames(self) -> None:
        clip = audio.read(MP3_FRAME * 100)
        assert (clip.media_type, clip.seconds) == ("audio/mpeg", about(100 * MP3_FRAME_S))

    @pytest.mark.parametrize(
        ("header", "length", "seconds"),
        [
            (b"\xff\xfb\x92\x00", 418, 1152 / 44_100),  # padded
            (b"\xff\xfa\xe4\x00", 960, 1152 / 48_000),
            (b"\xff\xf3\x14\x00", 24, 576 / 24_000),  # MPEG 2
            (b"\xff\xe3\x18\x00", 72, 576 / 8_000),  # MPEG 2.5
            (b"\xff\xf3\xe8\x00", 720, 576 / 16_000),
        ],
    )
    def test_every_version(self, header: bytes, length: int, seconds: float) -> None:
        frames = (header + bytes(length - 4)) * 50
        assert mp3.is_mp3(frames)
        assert mp3.longest_seconds(frames) == about(50 * seconds)

    @pytest.mark.parametrize(
        ("header", "length", "seconds"),
        [
            (b"\xff\xff\x14\x00", 32, 384 / 48_000),
            (b"\xff\xfd\x14\x00", 96, 1152 / 48_000),
            (b"\xff\xf5\x14\x00", 48, 0.048),
        ],
    )
    def test_layers_i_and_ii_count_for_decoders_take_them(self, header: bytes, length: int, seconds: float) -> None:
        frames = (header + bytes(length - 4)) * 50
        assert mp3.longest_seconds(MP3_FRAME + frames) == about(MP3_FRAME_S + 50 * seconds)
        assert not mp3.is_mp3(frames)

    @pytest.mark.parametrize("tag", [b"Xing", b"Info", b"VBRI"])
    def test_a_tag_s_claim_is_not_believed(self, tag: bytes) -> None:
        claim = MP3_FRAME[:36] + tag + struct.pack(">II", 3, 1_000_000)
        frames = claim.ljust(417, b"\0") + MP3_FRAME
        assert audio.read(frames).seconds == about(2 * MP3_FRAME_S)

    @pytest.mark.parametrize(
        "start",
        [id3(3000), id3(20, 0x10), id3(30) + id3(40), id3(30) + bytes(1000)],
        ids=["one", "footer", "two", "zeros"],
    )
    def test_tags_before_the_sound(self, start: bytes) -> None:
        assert audio.read(start + MP3_FRAME * 10) == audio.Clip("audio/mpeg", about(10 * MP3_FRAME_S))

    def test_what_lies_between_frames_and_a_cut_one(self) -> None:
        frames = MP3_FRAME * 3 + b"TAG" + bytes(500) + MP3_FRAME * 2 + MP3_FRAME[:100]
        assert audio.read(frames).seconds == about(6 * MP3_FRAME_S)

    def test_bytes_that_are_no_frames_last_as_long_as_they_must(self) -> None:
        free_format = b"\xff\xfb\x00\x00" + bytes(413)
        assert audio.read(MP3_FRAME * 2 + free_format * 1000).seconds == about(417 * 1002 * 8 / 320_000)

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff\xfb\x90",  # two bytes of a frame that its end cuts off
            MP3_FRAME + bytes(100),
            b"\xff\xfe" + "a text in UTF-16".encode("utf-16-le"),
            id3(10, claimed=1000) + MP3_FRAME,
            id3(10) + flac_head(1000),
            id3(10)[:8],
            id3(0) * 101 + MP3_FRAME,
            b"ID3",
            b"just a text",
        ],
    )
    def test_what_is_none(self, data: bytes) -> None:
        assert mp3.is_mp3(data) == (len(data) == 3 and data[0] == 0xFF)

    def test_one_that_never_ends_is_not_counted_to_its_end(self) -> None:
        smallest = b"\xff\xf3\x14\x00" + bytes(20)
        with pytest.raises(TooLarge, match="longer than 2 hours"):
            audio.read(smallest * 400_000)


class TestFlac:
    def test_the_header_s_claim(self) -> None:
        assert audio.read(flac_head(441_000)) == audio.Clip("audio/flac", 10)

    @pytest.mark.parametrize("claimed", [0, 44_100])
    def test_frames_are_counted_whatever_it_claims(self, claimed: int) -> None:
        assert flac.longest_seconds(flac_head(claimed) + flac_frame() * 1000) == about(1000 * 4096 / 44_100)

    @pytest.mark.parametrize(
        ("frame", "samples"),
        [
            (flac_frame(0x19), 192),
            (flac_frame(0x29), 576),
            (flac_frame(0x59), 4608),
            (flac_frame(0x69, behind=b"\x7f"), 128),
            (flac_frame(0x79, behind=b"\xff\xff"), 65_536),
            (flac_frame(0x89), 256),
            (flac_frame(0xF9), 32_768),
            (flac_frame(0xCC, behind=b"\x2c"), 4096),
            (flac_frame(0xCD, behind=b"\xac\x44"), 4096),
            (flac_frame(0x6E, behind=b"\x7f\xac\x44"), 128),
            (flac_frame(number=b"\xc4\x80"), 4096),
            (flac_frame(number=b"\xfe" + b"\x80" * 6, sync=b"\xff\xf9"), 4096),
            (flac_frame(0xCF), 0),  # no such rate
            (flac_frame()[:-9] + b"\1" + bytes(8), 0),  # a wrong checksum
            (flac_frame()[:4], 0),
            (flac_frame()[:5], 0),
        ],
    )
    def test_every_kind_of_frame(self, frame: bytes, samples: int) -> None:
        assert flac.longest_seconds(flac_head(0, 1000, bits=32, channels=8) + frame) == about(samples / 1000, abs=0.002)

    @pytest.mark.parametrize(
        ("sizes", "behind", "rate"),
        [
            (0xC4, b"", 8000),
            (0xC9, b"", 44_100),
            (0xCC, b"\x08", 8000),
            (0xCD, b"\x1f\x40", 8000),
            (0xCE, b"\x03\x20", 8000),
            (0x7D, b"\x0f\xff\x1f\x40", 8000),
            (0xC0, b"", 655_350),
            (0xCD, b"\0\0", 655_350),  # none at all
        ],
    )
    def test_a_frame_s_own_rate_if_the_header_s_is_higher(self, sizes: int, behind: bytes, rate: int) -> None:
        frames = flac_frame(sizes, behind=behind) * 100
        assert flac.longest_seconds(flac_head(409_600, 655_350) + frames) == about(409_600 / rate)

    def test_the_lowest_of_the_header_s_the_first_frame_s_and_a_frame_s_own_rate(self) -> None:
        slow, fast = flac_frame(0xC4), flac_frame(0xCB)
        assert flac.longest_seconds(flac_head(0) + fast * 10) == about(10 * 4096 / 44_100)
        assert flac.longest_seconds(flac_head(0) + slow + fast * 10) == about(11 * 4096 / 8000)
        assert flac.longest_seconds(flac_head(0) + fast * 10 + slow) == about(10 * 4096 / 44_100 + 4096 / 8000)

    def test_bytes_last_no_less_than_unpacked(self) -> None:
        assert flac.longest_seconds(flac_head(1) + bytes(176_400)) == 1

    def test_metadata_is_passed_over(self) -> None:
        picture = b"\6" + (60).to_bytes(3, "big") + flac_frame() * 4 + bytes(4)
        assert len(flac_frame()) == 14
        head = flac_head(1000, more=picture + b"\x81\0\0\2ab")
        assert flac.longest_seconds(head) == about(1000 / 44_100)
        assert flac.longest_seconds(head + flac_frame()) == about(4096 / 44_100)
        assert flac.longest_seconds(flac_head(1000, more=picture)) == about(1000 / 44_100)
        assert flac.longest_seconds(flac_head(1000, more=b"\1\0\0\0" * 10_001)) > 0

    @pytest.mark.parametrize("data", [b"fLaC", flac_head(5)[:41], flac_head(5, rate=0)])
    def test_one_that_cannot_be_read(self, data: bytes) -> None:
        with pytest.raises(ValueError, match="header is cut or has no sample rate"):
            audio.read(data)

    def test_nothing_in_it(self) -> None:
        with pytest.raises(ValueError, match="no sound"):
            audio.read(flac_head(0))

    def test_a_file_of_nothing_but_frames(self) -> None:
        with pytest.raises(TooManyParts):
            flac.longest_seconds(flac_head(0) + b"\xff\xf8\x19\x18" * (MAX_PARTS + 1))


class TestOgg:
    def test_opus_by_its_packets(self) -> None:
        pages = ogg_page(960 * 50, *[OPUS_20_MS] * 50) + ogg_page(960 * 100, *[OPUS_20_MS] * 50, flags=4)
        assert audio.read(opus_start() + pages) == audio.Clip("audio/ogg", about(2))

    @pytest.mark.parametrize(("granule", "seconds"), [(0, 1), (-1, 1), (48_000 * 10, 10)])
    def test_the_longer_of_granule_and_packets(self, granule: int, seconds: float) -> None:
        assert ogg.longest_seconds(opus_start() + ogg_page(granule, *[OPUS_20_MS] * 50)) == about(seconds)

    @pytest.mark.parametrize(
        ("packet", "ms"),
        [
            (b"\x00", 10),
            (b"\x18", 60),
            (b"\x60", 10),
            (b"\x68", 20),
            (b"\x80", 2.5),
            (b"\xf8", 20),
            (b"\xf9", 40),
            (b"\xfa", 40),
            (b"\xfb\x06", 120),
            (b"\x1b\xc2", 120),
            (b"", 0),
        ],
    )
    def test_every_kind_of_packet(self, packet: bytes, ms: float) -> None:
        assert ogg.longest_seconds(opus_start() + ogg_page(0, *[packet] * 10)) == about(ms / 100)

    def test_a_packet_over_two_pages_counts_once(self) -> None:
        long = OPUS_20_MS + bytes(253)
        pages = ogg_page(-1, long, cut=True) + ogg_page(960, b"rest", OPUS_20_MS, flags=1)
        assert ogg.longest_seconds(opus_start() + pages) == about(0.04)
        goes_on = ogg_page(-1, long, cut=True, flags=1)
        assert ogg.longest_seconds(opus_start() + goes_on) == 0

    def test_a_page_that_is_cut(self) -> None:
        page = ogg_page(48_000, *[OPUS_20_MS] * 50)
        assert ogg.longest_seconds(opus_start() + page[:-60]) == about(1)
        assert ogg.longest_seconds(opus_start() + page[:20]) == 0

    def test_streams_one_after_another(self) -> None:
        part = opus_start() + ogg_page(48_000, *[OPUS_20_MS] * 50)
        assert ogg.longest_seconds(part * 3) == about(3)
        part = vorbis_start() + ogg_page(44_100, b"v")
        assert ogg.longest_seconds(part * 3) == about(3)

    def test_a_clock_that_is_set_back(self) -> None:
        pages = b"".join(ogg_page(granule, b"v") for granule in (44_100, -1, 88_200, 44_100, 132_300))
        assert ogg.longest_seconds(vorbis_start() + pages) == about(5)

    def test_vorbis_by_its_packets(self) -> None:
        """Of 2048 samples at most, half of which overlap with the neighbours."""
        pages = ogg_page(100, *[b"\2v"] * 99, b"") * 10
        assert ogg.longest_seconds(vorbis_start(nominal=500_000) + pages) == about(1000 * 1024 / 44_100)
        headers = ogg_page(0, b"\3vorbis", b"\5vorbis")
        assert ogg.longest_seconds(vorbis_start() + headers + pages) == about(1000 * 1024 / 44_100)

    def test_vorbis_is_not_refused_for_packets_that_may_be_short(self) -> None:
        pages = ogg_page(44_100, *[b"\2v"] * 250) * 1300
        assert audio.read(vorbis_start() + pages).seconds == MAX_SECONDS

    def test_another_codec_behind_the_first_is_bounded_by_bytes(self) -> None:
        other = ogg_page(0, b"\x7fFLAC", flags=2) + ogg_page(0, bytes(250)) * 100
        data = opus_start() + ogg_page(960, OPUS_20_MS) + other
        assert ogg.longest_seconds(data) == about(len(data) * 8 / 6000)

    def test_48_hours_of_silence(self) -> None:
        pages = ogg_page(0, *[b"\xfb\x06"] * 255) * 6000  # 51 hours in three megabytes
        with pytest.raises(TooLarge, match="longer than 2 hours"):
            audio.read(opus_start() + pages)

    @pytest.mark.parametrize("data", [b"OggS", ogg_page(0, b"\x80theora", flags=2), ogg_page(0, b"Speex   ", flags=2)])
    def test_what_else_is_in_an_ogg(self, data: bytes) -> None:
        with pytest.raises(ValueError, match="it is not WAV"):
            audio.read(data)

    def test_one_without_a_rate(self) -> None:
        with pytest.raises(ValueError, match="no sample rate"):
            audio.read(vorbis_start(rate=0))

    def test_too_many_pages_and_packets(self) -> None:
        with pytest.raises(TooManyParts):
            ogg.longest_seconds(opus_start() + ogg_page(0) * MAX_PARTS)
        with pytest.raises(TooManyParts):
            ogg.longest_seconds(opus_start() + ogg_page(0, *[b"\x80"] * 255) * (MAX_PARTS // 255 + 2))


def test_a_bound_by_bytes() -> None:
    assert limits.longest_by_bytes(750 * 60) == 60
    assert limits.longest_by_bytes(20_000_000) == MAX_SECONDS


@pytest.mark.parametrize("seconds", [MAX_SECONDS, MAX_SECONDS + 1])
def test_two_hours_are_accepted(seconds: int) -> None:
    data = movie(seconds=seconds)
    if seconds == MAX_SECONDS:
        assert audio.read(data).seconds == seconds
    else:
        with pytest.raises(TooLarge, match="2 hours"):
            audio.read(data)


STARTS = [
    b"", riff(*SECOND), riff((b"fmt ", fmt(0xFFFE))), MP3_FRAME, id3(10) + MP3_FRAME, flac_head(0) + flac_frame(),
    opus_start() + ogg_page(960, OPUS_20_MS), vorbis_start() + ogg_page(960, b"v"), FTYP,
    movie(track(full_box(b"stts", 1, 9, 9), units=9), more=EXTENDS) + fragment(full_box(b"trun", 3, 0, 0, flags=0x101)),
    webm(info(struct.pack(">d", 5)), cluster(5, 5), size=-1), webm(tracks((1, b"A_OPUS")), cluster(5, 5), size=-1),
    movie(track(AAC, stsz(9, 9), units=9)),
]  # fmt: skip


@given(st.sampled_from(STARTS), st.binary(max_size=300), st.data())
def test_any_bytes_are_a_clip_or_a_refusal(start: bytes, more: bytes, drawn: st.DataObject) -> None:
    at = drawn.draw(st.integers(0, len(start)))
    for data in (
        start + more,
        start[:at] + more,
        start[:at] + more + start[at:],
        start[:at] + more[:8] + start[at + 8 :],
    ):
        try:
            clip = audio.read(data)
        except ValueError:
            continue
        assert clip.seconds is None or 0 < clip.seconds <= limits.MAX_SECONDS
