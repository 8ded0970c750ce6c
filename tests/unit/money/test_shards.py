"""Which shards pay, and when a wallet is called hot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.money.shards import MOST_SHARDS, SAMPLES, Heat, Taking, pick, plan, twins_gifts

BALANCES = st.lists(st.integers(0, 1_000), min_size=1, max_size=MOST_SHARDS)


@given(BALANCES, st.data(), st.integers(1, 3_000))
def test_a_plan_pays_the_amount_from_what_is_there(available: list[int], data: st.DataObject, amount: int) -> None:
    at = data.draw(st.integers(0, len(available) - 1))
    found = plan(available, at, amount)
    assert (found is None) == (sum(available) < amount)
    if found is not None:
        assert found.at not in found.gives
        assert all(0 < gift <= available[shard] for shard, gift in found.gives.items())
        assert available[found.at] + sum(found.gives.values()) >= amount


@given(BALANCES, st.data(), st.integers(1, 3_000))
def test_nobody_who_is_left_with_less_than_a_fair_share_gives_to_one_who_could_have_it(
    available: list[int], data: st.DataObject, amount: int
) -> None:
    at, fair = data.draw(st.integers(0, len(available) - 1)), sum(available) // len(available)
    found = plan(available, at, amount)
    if found is not None and amount <= fair:
        assert found.at == at
        assert all(available[shard] - gift >= fair for shard, gift in found.gives.items())


@pytest.mark.parametrize(
    ("available", "at", "amount", "expected"),
    [
        pytest.param([10, 0], 0, 10, Taking(0), id="it has it"),
        pytest.param([0, 10], 0, 10, Taking(1), id="another has it"),
        pytest.param([0, 100], 0, 10, Taking(0, {1: 50}), id="filled up to its share"),
        pytest.param([0, 60, 90, 50], 0, 30, Taking(0, {2: 40}), id="by as few as will do"),
        pytest.param([0, 60, 70, 70], 0, 30, Taking(0, {2: 20, 3: 20}), id="by more where one does not do"),
        pytest.param([4, 6, 5, 1], 3, 14, Taking(1, {2: 5, 0: 3}), id="only together"),
        pytest.param([4, 6], 0, 11, None, id="not even together"),
        pytest.param([9], 0, 10, None, id="alone"),
    ],
)
def test_who_pays(available: list[int], at: int, amount: int, expected: Taking | None) -> None:
    assert plan(available, at, amount) == expected


def test_requests_spread_over_all_shards_and_always_the_same() -> None:
    picked = [pick(f"req_{number}", 16) for number in range(1_600)]
    assert picked == [pick(f"req_{number}", 16) for number in range(1_600)]
    assert all(50 < picked.count(shard) < 150 for shard in range(16))
    assert {pick(f"req_{number}", 1) for number in range(100)} == {0}


@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=MOST_SHARDS).filter(lambda found: len(found) % 2 == 0))
def test_twins_share(available: list[int]) -> None:
    half, gifts = len(available) // 2, twins_gifts(available)
    for shard in range(half):
        mine, its = available[shard] - gifts.get(shard, 0), available[shard + half] + gifts.get(shard, 0)
        assert mine >= 0
        assert abs(mine - its) <= 1 or (shard not in gifts and mine <= its)


@pytest.mark.parametrize(
    ("conflicts", "hot"),
    [
        pytest.param([0] * SAMPLES, False, id="none"),
        pytest.param([1] * (SAMPLES // 2 - 1), False, id="half of too few"),
        pytest.param([1] * (SAMPLES // 2), True, id="each once"),
        pytest.param([1, 0] * SAMPLES, False, id="every other once"),
        pytest.param([1, 1, 1, 0] * SAMPLES, False, id="three of four once"),
        pytest.param([3, 0] * SAMPLES, True, id="every other three times"),
        pytest.param([SAMPLES // 2], True, id="one that hardly gets through"),
        pytest.param([10**9], True, id="one that never does"),
        pytest.param([10**9] + [0] * (SAMPLES // 2 + 1), False, id="but that is long ago"),
    ],
)
def test_a_wallet_is_hot_where_half_of_what_is_sent_meets_others(conflicts: list[int], hot: bool) -> None:
    heat = Heat()
    for count in conflicts:
        heat.saw(count)
    assert heat.hot == hot
    heat.forget()
    assert not heat.hot
