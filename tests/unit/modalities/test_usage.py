"""Counts per unit, disjoint."""

from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, TOKEN_UNITS, Usage


def test_every_token_is_read_or_written_and_never_both() -> None:
    assert {*INPUT_UNITS, *OUTPUT_UNITS} == TOKEN_UNITS
    assert not {*INPUT_UNITS} & {*OUTPUT_UNITS}


def test_totals_add_up_what_is_there() -> None:
    usage = Usage({"input_tokens": 1, "cached_input_tokens": 2, "reasoning_tokens": 4})
    assert usage.total(INPUT_UNITS) == 3
    assert usage.total(OUTPUT_UNITS) == 4
    assert Usage({}).total(INPUT_UNITS) == 0


class TestAtLeast:
    def test_the_greater_count_of_each_unit_stays(self) -> None:
        early = Usage({"input_tokens": 5, "output_tokens": 3})
        late = Usage({"output_tokens": 9, "reasoning_tokens": 1})
        assert late.at_least(early).units == {"input_tokens": 5, "output_tokens": 9, "reasoning_tokens": 1}
        assert Usage({"input_tokens": 0}).at_least(early).units == early.units
        assert late.at_least(None) is late
