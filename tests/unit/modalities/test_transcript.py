"""Transcripts as text, SubRip and WebVTT, compared with files written by hand."""

import re

from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.transcript import Segment, srt, text, vtt

TWO = [Segment(0.0, 2.5, " Hello there."), Segment(3661.0044, 3662.9996, "Wait\nfor\n\nme. ")]


def test_text_is_one_line() -> None:
    assert text(TWO) == "Hello there. Wait for me."
    assert text([]) == ""
    assert text([Segment(0, 1, "  "), Segment(1, 2, "Yes.")]) == "Yes."


def test_subrip() -> None:
    assert srt(TWO) == (
        "1\n00:00:00,000 --> 00:00:02,500\nHello there.\n\n2\n01:01:01,004 --> 01:01:03,000\nWait for me.\n\n"
    )
    assert srt([]) == ""


def test_webvtt() -> None:
    assert vtt(TWO) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nHello there.\n\n01:01:01.004 --> 01:01:03.000\nWait for me.\n\n"
    )
    assert vtt([]) == "WEBVTT\n\n"


def test_what_is_said_cannot_end_a_cue_or_make_markup() -> None:
    tricky = [Segment(0, 1, "a --> b & <i>c</i>")]
    assert "a -> b & <i>c</i>" in srt(tricky)
    assert "a --&gt; b &amp; &lt;i&gt;c&lt;/i&gt;" in vtt(tricky)


@given(st.integers(0, 400_000_000))
def test_a_timestamp_is_its_milliseconds(milliseconds: int) -> None:
    written = re.findall(r"(\d+):([0-5]\d):([0-5]\d)\.(\d{3})", vtt([Segment(milliseconds / 1000, 400_000, "x")]))[0]
    hours, minutes, seconds, rest = (int(part) for part in written)
    assert ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest == milliseconds


def test_rounding_carries_over_into_minutes_and_hours() -> None:
    assert "00:01:00.000 --> 01:00:00.000" in vtt([Segment(59.9996, 3599.9995, "x")])
    assert "100:00:00.000" in vtt([Segment(0, 360_000, "x")])
