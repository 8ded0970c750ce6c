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
    def test_the_greater_of_two_stays_as_it_is(self) -> None:
        early, late = Usage({"input_tokens": 5, "output_tokens": 3}), Usage({"input_tokens": 5, "output_tokens": 9})
        assert late.at_least(early).units == late.units
        assert early.at_least(late).units == late.units
        assert Usage({"input_tokens": 0}).at_least(early).units == early.units
        assert late.at_least(None) is late

    def test_what_is_told_apart_later_is_not_counted_twice(self) -> None:
        early = Usage({"input_tokens": 100, "output_tokens": 50})
        late = Usage({"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 5, "reasoning_tokens": 45})
        assert late.at_least(early).units == late.units
