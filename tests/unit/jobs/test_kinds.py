"""The three kinds of jobs: their operations, the names of their files, how their bodies are read."""

from typing import Any

import pytest

from aig.jobs.job import KINDS
from aig.jobs.kinds import OPERATIONS, RESULTS, file_name, request
from aig.modalities.files import Picture
from aig.modalities.job import JobKind
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.video import VideoRequest

PICTURE = Picture(b"png", "image/png", 64, 48)
LINK = "https://gateway.example/a.png"


def test_every_kind_has_an_operation_and_a_result() -> None:
    assert set(KINDS) == OPERATIONS.keys() == RESULTS.keys()
    assert len(set(OPERATIONS.values())) == len(KINDS)


@pytest.mark.parametrize(
    ("kind", "at", "ending", "name"),
    [
        ("video", 0, "mp4", "video.mp4"),
        ("video", 1, "webm", "video-2.webm"),
        ("music", 0, "mp3", "music.mp3"),
        ("three_d", 9, "glb", "model-10.glb"),
    ],
)
def test_files_have_names_of_ours(kind: JobKind, at: int, ending: str, name: str) -> None:
    assert file_name(kind, at, ending) == name


@pytest.mark.parametrize(("kind", "type_"), [("video", VideoRequest), ("three_d", ThreeDRequest)])
def test_a_body_becomes_a_request_with_its_picture(kind: JobKind, type_: type[Any]) -> None:
    plain = request(kind, {"model": "v/m", "prompt": "a boat"})
    assert isinstance(plain, type_)
    assert (plain.picture, plain.demand.capabilities) == (None, frozenset({kind, "from_text"}))
    made = request(kind, {"model": "v/m", "prompt": "a boat"}, PICTURE, LINK)
    assert isinstance(made, type_)
    assert (made.picture, made.link) == (PICTURE, LINK)
    assert "from_picture" in made.demand.capabilities


def test_a_body_of_music_becomes_a_request() -> None:
    made = request("music", {"model": "v/m", "prompt": "a waltz"})
    assert isinstance(made, MusicRequest)
    assert made.prompt == "a waltz"
