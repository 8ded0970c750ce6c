"""How the three kinds of jobs differ."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.jobs.job import KINDS
from aig.jobs.kinds import OPERATIONS, RESULTS, file_name, request
from aig.modalities.files import Picture
from aig.modalities.job import JobKind
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.video import VideoRequest

BODY: Any = {"model": "v/m", "prompt": "a boat"}
PICTURE = Picture(b"png", "image/png", 1, 1)


def test_every_kind_has_an_operation_and_a_result() -> None:
    assert set(KINDS) == OPERATIONS.keys() == RESULTS.keys()


@pytest.mark.parametrize(
    ("kind", "ending", "names"),
    [
        ("video", "mp4", ["video.mp4", "video-2.mp4", "video-3.mp4"]),
        ("music", "mp3", ["music.mp3", "music-2.mp3", "music-3.mp3"]),
        ("three_d", "glb", ["model.glb", "model-2.glb", "model-3.glb"]),
    ],
)
def test_files_have_names_of_ours(kind: JobKind, ending: str, names: list[str]) -> None:
    assert [file_name(kind, at, ending) for at in range(3)] == names


@given(st.sampled_from(KINDS), st.integers(0, 99), st.sampled_from(["mp4", "mp3", "wav", "glb", "webm"]))
def test_a_name_needs_no_escaping_anywhere(kind: JobKind, at: int, ending: str) -> None:
    name = file_name(kind, at, ending)
    assert re.fullmatch(r"[a-z]+(-\d+)?\.[a-z0-9]+", name)


def test_a_body_becomes_the_request_of_its_kind() -> None:
    assert isinstance(request("video", BODY), VideoRequest)
    assert isinstance(request("music", BODY), MusicRequest)
    assert isinstance(request("three_d", BODY), ThreeDRequest)


@pytest.mark.parametrize("kind", ["video", "three_d"])
def test_a_picture_comes_with_it(kind: JobKind) -> None:
    made = request(kind, BODY, PICTURE, "https://here.example/picture")
    assert not isinstance(made, MusicRequest)
    assert (made.picture, made.link) == (PICTURE, "https://here.example/picture")
    assert "from_picture" in made.demand.capabilities
