"""From CenterNet's answer to boxes, on answers made by hand."""

import pytest

pytest.importorskip("onnx", reason="local models: not installed: onnx")
pytest.importorskip("onnxruntime", reason="local models: not installed: onnxruntime")
pytest.importorskip("PIL", reason="local models: not installed: pillow")

import numpy as np

from local.models.centernet import things

PERSON, DOG = 0, 16


def answer(**peaks: tuple[int, int, int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Heat and edges with these (label, row, column, score); every box goes 8 pixels left and up, 16 right and down."""
    heat = np.zeros((80, 128, 128), np.float32)
    for label, row, column, score in peaks.values():
        heat[label, row, column] = score
    edges = np.ones((4, 128, 128), np.float32) * np.array([8, 8, 16, 16], np.float32).reshape(4, 1, 1)
    return heat, edges


def test_a_box_is_stretched_to_the_image() -> None:
    (found,) = things(*answer(one=(DOG, 10, 20, 0.75)), 0.5, (1024, 512))
    assert (found.label, found.score) == ("dog", 0.75)
    assert (found.xmin, found.ymin, found.xmax, found.ymax) == (144.0, 32.0, 192.0, 56.0)


def test_the_surest_comes_first_and_below_the_threshold_nothing() -> None:
    peaks = answer(one=(DOG, 10, 20, 0.6), two=(PERSON, 50, 20, 0.9), three=(PERSON, 90, 90, 0.4))
    assert [(found.label, round(found.score, 2)) for found in things(*peaks, 0.5, (512, 512))] == [
        ("person", 0.9),
        ("dog", 0.6),
    ]
    assert len(list(things(*peaks, 0.0, (512, 512)))) == 3


def test_beside_a_hotter_cell_of_its_label_there_is_nothing() -> None:
    peaks = answer(one=(DOG, 10, 20, 0.8), two=(DOG, 11, 21, 0.7), other=(PERSON, 11, 21, 0.7))
    assert [found.label for found in things(*peaks, 0.5, (512, 512))] == ["dog", "person"]


def test_a_box_ends_where_the_image_does() -> None:
    (found,) = things(*answer(one=(DOG, 0, 127, 0.8)), 0.5, (512, 512))
    assert (found.xmin, found.ymin, found.xmax, found.ymax) == (500.0, 0.0, 512.0, 16.0)
