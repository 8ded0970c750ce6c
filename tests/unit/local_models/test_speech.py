"""What a voice is asked to say at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.models.errors import BadRequestError
from local.models.speech import MAX_CHARS, breaths, parse


def test_sentences_are_spoken_one_by_one() -> None:
    assert list(breaths("Hello there! How are you?\n\nFine, at 3.5 percent.")) == [
        "Hello there!",
        "How are you?",
        "Fine, at 3.5 percent.",
    ]


def test_a_long_sentence_is_cut_at_a_comma_else_at_a_space() -> None:
    comma = "word " * 40 + "end, " + "word " * 40
    assert [part[-4:] for part in breaths(comma)] == ["end,", "word"]
    assert [len(part) <= 300 for part in breaths("word " * 100)] == [True, True]


@given(st.text(alphabet="ab ,.!?\n…", max_size=2000))
def test_nothing_is_lost_and_nothing_is_long(text: str) -> None:
    parts = list(breaths(text))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part) <= 300 for part in parts)


def body(**fields: object) -> dict[str, object]:
    return {"model": "piper-joe", "input": "Hello.", "voice": "joe", **fields}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": " ...! "}, "input"),
        ({"input": ["Hello"]}, "input"),
        ({"input": "a" * (MAX_CHARS + 1)}, "input"),
        ({"input": "\ud800"}, "input"),
        ({"voice": 7}, "voice"),
        ({"response_format": "midi"}, "response_format"),
        ({"response_format": []}, "response_format"),
        ({"speed": 0.2}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"model": ""}, "model"),
    ],
)
def test_bad_requests_name_the_field(change: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(body(**change))
    assert caught.value.param == param


def test_what_is_left_out_has_openais_defaults() -> None:
    wanted = parse(body(input="a" * MAX_CHARS))
    assert (wanted.response_format, wanted.speed) == ("mp3", 1.0)
