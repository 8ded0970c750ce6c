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


class TestWhatStandsOfAStream:
    def test_the_last_that_was_told_as_it_is(self) -> None:
        early, late = Usage({"input_tokens": 5, "output_tokens": 9}), Usage({"input_tokens": 5, "output_tokens": 2})
        assert late.after(early).units == late.units
        assert early.after(late).units == early.units
        assert late.after(None) is late

    def test_what_is_told_apart_later_is_not_counted_twice(self) -> None:
        early = Usage({"input_tokens": 100, "output_tokens": 50})
        late = Usage({"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 5, "reasoning_tokens": 45})
        assert late.after(early).units == late.units

    def test_nothing_at_all_takes_nothing_back(self) -> None:
        early = Usage({"input_tokens": 5, "output_tokens": 9}, service_tier="flex")
        assert Usage({"input_tokens": 0, "output_tokens": 0}).after(early) == early

    def test_a_tier_that_was_told_once_stays(self) -> None:
        late = Usage({"input_tokens": 5}).after(Usage({"input_tokens": 4}, service_tier="priority"))
        assert (late.units, late.service_tier) == ({"input_tokens": 5}, "priority")
