"""What was said and when, and the three plain-text forms that a transcript is asked for in. Times are in seconds."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """`word` may begin with the space that stands before it."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or a part of one; `words` only where they were asked for."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    words: tuple[Word, ...] = ()


def text(segments: Iterable[Segment]) -> str:
    """All that was said, in one line."""
    return " ".join(said for segment in segments if (said := _line(segment.text)))


def srt(segments: Iterable[Segment]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds. It has no escapes: an arrow in the text loses a dash."""
    cues = [
        f"{number}\n{_span(segment, ',')}\n{_line(segment.text).replace('-->', '->')}\n\n"
        for number, segment in enumerate(segments, 1)
    ]
    return "".join(cues)


def vtt(segments: Iterable[Segment]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/): markup in the text is escaped."""
    cues = [f"{_span(segment, '.')}\n{_escaped(_line(segment.text))}\n\n" for segment in segments]
    return "WEBVTT\n\n" + "".join(cues)


def _line(said: str) -> str:
    """An empty line would end the cue."""
    return " ".join(said.split())


def _escaped(said: str) -> str:
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _span(segment: Segment, separator: str) -> str:
    return f"{_timestamp(segment.start, separator)} --> {_timestamp(segment.end, separator)}"


def _timestamp(seconds: float, separator: str) -> str:
    """`HH:MM:SS` and milliseconds, rounded as a whole: 59.9996 s is a minute. The hours may grow past two digits."""
    rest, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(rest, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{separator}{milliseconds:03}"
