"""The order in which a page's lines are read, and what its reader is asked."""

import base64

import pytest

from local.models.errors import BadRequestError
from local.models.ocr import Line, Page, in_reading_order, parse, render
from tests.unit.modalities.test_image_header import png


def line(text: str, level: float, xmin: float = 0, height: float = 20) -> Line:
    return Line(text, 0.9, level, height, xmin, level - 10, xmin + 100, level + 10)


def body(**fields: object) -> dict[str, object]:
    return {"model": "rapidocr", "image_b64": base64.b64encode(png(4, 4)).decode(), **fields}


def test_rows_from_the_top_and_each_from_the_left() -> None:
    lines = (line("total", 90), line("3.50", 52, 300), line("tea", 50), line("bill", 10))
    assert [each.text for each in in_reading_order(lines)] == ["bill", "tea", "3.50", "total"]


def test_lines_closer_than_half_their_height_are_one_row_and_others_are_not() -> None:
    assert [each.text for each in in_reading_order((line("b", 9, 200), line("a", 0, 100)))] == ["a", "b"]
    assert [each.text for each in in_reading_order((line("b", 11, 0), line("a", 0, 100)))] == ["a", "b"]


def test_an_empty_page_has_an_empty_text() -> None:
    answer = render(parse(body()), Page(4, 4, ()))
    assert answer["text"] == ""
    assert answer["pages"] == [{"index": 0, "text": "", "width": 4, "height": 4, "lines": []}]
    assert answer["usage"] == {"pages": 1}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"image_b64": None}, "image_b64", "missing_required_parameter"),
        ({"image_url": "data:image/png;base64,AAAA"}, "image_b64", "missing_required_parameter"),
        ({"image_b64": "not base64!"}, "image_b64", "invalid_value"),
        ({"image_b64": "é"}, "image_b64", "invalid_value"),
        ({"image_b64": "AAAA"}, "image_b64", "invalid_image"),
        ({"image_b64": base64.b64encode(png(20_000, 20_000)).decode()}, "image_b64", "invalid_image"),
        ({"image_b64": None, "image_url": "http://127.0.0.1/secret.png"}, "image_url", "unsupported_value"),
        ({"image_b64": None, "image_url": "data:image/png,abc"}, "image_url", "unsupported_value"),
        ({"document_url": "https://example.com/a.pdf"}, "document_url", "unsupported_value"),
        ({"languages": 3}, "languages", "invalid_value"),
    ],
)
def test_bad_requests_name_the_field(change: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(body(**change))
    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_data_url_is_an_image_and_a_region_is_not_looked_at() -> None:
    wanted = parse(
        {"model": "m", "image_url": "data:image/png;base64," + str(body()["image_b64"]), "languages": ["en-US"]}
    )
    assert wanted.image == png(4, 4)
    assert wanted.languages == {"en"}
