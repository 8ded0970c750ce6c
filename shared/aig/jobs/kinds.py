"""What differs between videos, music and 3D models: how their bodies are read, and what may come of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aig.modalities import music_body, three_d_body, video_body
from aig.modalities.files import Picture
from aig.modalities.job import JobKind
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.video import VideoRequest
from aig.records import Operation

Request = VideoRequest | MusicRequest | ThreeDRequest
OPERATIONS: Mapping[JobKind, Operation] = {
    "video": "videos.generations",
    "music": "audio.music",
    "three_d": "3d.generations",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What the files of a kind are called, and the beginnings of the types that they may be of."""

    name: str
    types: tuple[str, ...]


RESULTS: Mapping[JobKind, Result] = {
    "video": Result("video", ("video/",)),
    "music": Result("music", ("audio/",)),
    "three_d": Result("model", ("model/",)),
}


def file_name(kind: JobKind, at: int, ending: str) -> str:
    """`video.mp4`, then `video-2.mp4`: never a name that a provider or a client has chosen."""
    number = f"-{at + 1}" if at else ""
    return f"{RESULTS[kind].name}{number}.{ending}"


def request(kind: JobKind, body: Any, picture: Picture | None = None, link: str | None = None) -> Request:
    """The request of a checked body, with its picture and where that may be fetched."""
    if kind == "video":
        return video_body.request(body, picture, link)
    if kind == "music":
        return music_body.request(body)
    return three_d_body.request(body, picture, link)
