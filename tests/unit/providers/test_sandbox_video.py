"""Test videos: their boxes are read by hand, their frames by FFmpeg's decoder where PyAV or OpenCV are installed."""

import hashlib
import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from aig_providers.sandbox_font import GLYPHS
from aig_providers.sandbox_video import mp4

PROMPT = "A red fox"
SIZES = [(16, 16), (320, 180), (180, 320), (22, 34), (1280, 720), (1920, 1080), (2000, 16)]
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, place and content of each, those inside others too; a box that is not whole fails."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        assert 8 <= size <= end - start
        yield kind, start + 8, data[start + 8 : start + size]
        if kind in PARENTS:
            yield from boxes(data, start + 8, start + size)
        start += size
    assert start == end


def numbers(body: bytes, at: int = 8) -> tuple[int, ...]:
    """Of a table: all that comes behind the version and the count, or at another place."""
    return struct.unpack_from(f">{(len(body) - at) // 4}I", body, at)


def units(data: bytes) -> list[bytes]:
    """What is coded of each frame, found by the tables as a player finds it."""
    found = {kind: body for kind, _, body in boxes(data)}
    (at,), sizes = numbers(found[b"stco"]), numbers(found[b"stsz"], 12)
    frames = []
    for size in sizes:
        assert struct.unpack_from(">I", data, at) == (size - 4,)
        frames.append(data[at + 4 : at + size])
        at += size
    assert at == len(data)
    return frames


def decoded(data: bytes) -> tuple[list[Any], Fraction, str]:
    """The frames, the length in seconds and the profile, where each error of the data is one of the test."""
    av = pytest.importorskip("av", reason="PyAV is not installed here")
    with av.open(io.BytesIO(data), options={"err_detect": "explode"}) as opened:
        (stream,) = opened.streams
        stream.codec_context.options = {"err_detect": "explode"}
        frames = list(opened.decode(stream))
        return frames, stream.duration * stream.time_base, stream.codec_context.profile


def luma(frame: Any) -> Any:
    return frame.to_ndarray()[: frame.height]


def read(frame: Any, left: int, top: int, columns: int, dot: int = 4) -> str:
    """What stands at a place of a frame, by the dots of its letters."""
    letters, shown = {glyph: letter for letter, glyph in GLYPHS.items()}, luma(frame)
    ground, said = shown[0, 0], ""
    for x in range(left, left + columns * 6 * dot, 6 * dot):
        rows = (shown[top + dot * row + 1, x : x + 6 * dot : dot] for row in range(9))
        said += letters[tuple(bytes(int(value != ground) for value in row) for row in rows)]
    return said


def test_a_player_finds_every_frame() -> None:
    data = mp4(PROMPT, 3, 320, 180)
    found = {kind: body for kind, _, body in boxes(data)}
    order = [kind for kind, _, _ in boxes(data) if kind in (b"ftyp", b"moov", b"mdat")]
    assert order == [b"ftyp", b"moov", b"mdat"]  # it can play before it has everything
    frames = units(data)
    assert len(frames) == 72
    assert [1 + at for at, frame in enumerate(frames) if frame[0] & 31 == 5] == [1, 25, 49]
    assert numbers(found[b"stss"]) == (1, 25, 49)
    assert numbers(found[b"stsc"]) == (1, 72, 1)
    (count, ticks), scale = numbers(found[b"stts"]), numbers(found[b"mdhd"], 12)[0]
    assert count * ticks == 3 * scale
    assert numbers(found[b"mvhd"], 12)[:2] == numbers(found[b"mdhd"], 12)[:2] == (scale, 3 * scale)
    assert numbers(found[b"tkhd"], 76) == (320 << 16, 180 << 16)
    assert not any(b"\0\0" + bytes([value]) in frame for frame in frames for value in range(3))


def test_the_prompt_is_in_the_file() -> None:
    text = "na\u00efve \u65e5\u672c"
    assert text.encode() in mp4(text, 1, 64, 64)


@pytest.mark.parametrize("seconds", [1, 2, 60])
@pytest.mark.parametrize("size", SIZES[:2])
def test_it_is_as_long_as_was_asked_for(seconds: int, size: tuple[int, int]) -> None:
    frames, length, _ = decoded(mp4(PROMPT, seconds, *size))
    assert len(frames) == 24 * seconds
    assert length == seconds
    assert [frame.pts * frame.time_base * 24 for frame in frames] == list(range(24 * seconds))


@pytest.mark.parametrize("size", SIZES)
def test_it_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    frames, _, profile = decoded(mp4(PROMPT, 2, *size))
    assert {(frame.width, frame.height) for frame in frames} == {size}
    assert profile == "Constrained Baseline"
    assert [at for at, frame in enumerate(frames) if frame.key_frame] == [0, 24]
    for frame in frames:  # nothing is lost: there is ground, there is ink, and nothing between them
        assert len(set(luma(frame).ravel().tolist())) == 2


@pytest.mark.parametrize("prompt", [PROMPT, "", "another", "and one more", "x", "y", "z"])
def test_colours_are_those_of_the_prompt(prompt: str) -> None:
    (frame, *_), *_ = decoded(mp4(prompt, 1, 64, 64))
    shown = frame.to_ndarray(format="rgb24")[40, 2].tolist()
    wanted = [byte / 2 for byte in hashlib.sha256(prompt.encode()).digest()[:3]]
    assert shown == pytest.approx(wanted, abs=20)  # the luma is rounded to sixteens
    values = {int(value) for value in luma(frame).ravel()}
    assert max(values) - min(values) >= 96


def test_a_viewer_can_read_it() -> None:
    frames, *_ = decoded(mp4(PROMPT, 12, 320, 180))
    for at in (0, 23, 24, 100, 287):
        assert read(frames[at], 8, 8, 9) == PROMPT
        counter = f"{at // 24 + 1}/12 s"
        assert read(frames[at], 312 - 24 * len(counter), 136, len(counter)) == counter


def test_letters_are_large_where_there_is_room() -> None:
    frames, *_ = decoded(mp4(PROMPT, 1, 1280, 720))
    assert read(frames[0], 44, 44, 9, dot=16) == PROMPT
    small, *_ = decoded(mp4("word " * 100, 1, 320, 180))
    assert read(small[0], 8, 80, 12) == "word word..."


def test_a_bar_grows_from_the_beginning_to_the_end() -> None:
    frames, *_ = decoded(mp4(PROMPT, 4, 320, 180))
    ends = [int((luma(frame)[-1] != luma(frame)[0, 0]).sum()) for frame in frames]
    assert ends == sorted(ends)
    assert (ends[23], ends[47], ends[95]) == (80, 160, 320)
    assert len(set(ends)) > 70


def test_another_reader_of_the_file_sees_the_same(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed here")
    path = tmp_path / "video.mp4"
    path.write_bytes(mp4(PROMPT, 2, 320, 180))
    opened, count = cv2.VideoCapture(str(path)), 0
    assert (opened.get(cv2.CAP_PROP_FPS), opened.get(cv2.CAP_PROP_FRAME_COUNT)) == (24, 48)
    while (found := opened.read())[0]:
        assert found[1].shape == (180, 320, 3)
        count += 1
    opened.release()
    assert count == 48


@pytest.mark.parametrize(("seconds", "size", "most"), [(5, (320, 180), 60_000), (5, (1280, 720), 200_000)])
def test_it_is_small(seconds: int, size: tuple[int, int], most: int) -> None:
    assert len(mp4("some words of a prompt " * 8, seconds, *size)) < most


def test_it_is_the_same_each_time() -> None:
    assert mp4(PROMPT, 2, 320, 180) == mp4(PROMPT, 2, 320, 180)
    assert mp4(PROMPT, 2, 320, 180) != mp4("A red dog", 2, 320, 180)


@pytest.mark.parametrize(
    ("seconds", "width", "height"),
    [(0, 64, 64), (61, 64, 64), (1, 63, 64), (1, 64, 63), (1, 14, 64), (1, 64, 14), (1, 9000, 9000), (1, 9000, 16)],
)
def test_what_it_cannot_make_is_refused(seconds: int, width: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"video|frame"):
        mp4(PROMPT, seconds, width, height)
