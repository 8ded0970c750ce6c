"""Health and breakers in the table, as every environment reads and writes them; moto stands in for DynamoDB."""

import pytest

from aig.aws import health as table_of_breakers
from aig.aws.health import DynamoHealth
from aig.breaker import PROBE_S, Opening
from aig.health import Minute
from aig.wiring import Container

KEY = "p/v/m"
NOW = 1_795_348_800


@pytest.fixture
def health(container: Container, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> DynamoHealth:
    """A log whose breakers no other test sees."""
    monkeypatch.setattr("aig.aws.health._BREAKERS", f"breakers of {request.node.nodeid}"[-900:])
    return DynamoHealth(container.table)


async def test_an_open_breaker_is_there_for_all_and_a_closed_one_is_not(health: DynamoHealth) -> None:
    assert await health.breakers() == {}
    await health.set_breaker(KEY, Opening(2, NOW + 60), NOW)
    await health.set_breaker("q/v/m", Opening(1, NOW + 30), NOW)
    assert await health.breakers() == {KEY: Opening(2, NOW + 60), "q/v/m": Opening(1, NOW + 30)}
    await health.set_breaker(KEY, None, NOW)
    assert await health.breakers() == {"q/v/m": Opening(1, NOW + 30)}


async def test_one_probe_at_a_time_and_another_when_it_is_lost(health: DynamoHealth) -> None:
    await health.set_breaker(KEY, Opening(1, NOW), NOW)
    assert await health.claim_probe(KEY, NOW)
    assert not await health.claim_probe(KEY, NOW)
    assert not await health.claim_probe(KEY, NOW + PROBE_S - 1)
    assert await health.claim_probe(KEY, NOW + PROBE_S)
    assert not await health.claim_probe(KEY, NOW + PROBE_S)


async def test_a_breaker_that_opens_anew_has_its_next_probe(health: DynamoHealth) -> None:
    await health.set_breaker(KEY, Opening(1, NOW), NOW)
    assert await health.claim_probe(KEY, NOW)
    await health.set_breaker(KEY, Opening(2, NOW + 1), NOW)
    assert await health.claim_probe(KEY, NOW + 1)


async def test_a_probe_of_what_is_gone_from_the_table_harms_nobody(health: DynamoHealth, container: Container) -> None:
    """An item goes after two hours; an environment that could not read since may still ask for its probe."""
    assert await health.claim_probe(KEY, NOW)
    await health.set_breaker("q/v/m", Opening(1, NOW + 30), NOW)
    assert await health.breakers() == {"q/v/m": Opening(1, NOW + 30)}
    item = await container.table.get(table_of_breakers._BREAKERS, KEY)
    assert item is not None
    assert item["ttl"] > NOW


async def test_minutes_of_several_environments_add_up(health: DynamoHealth) -> None:
    first = Minute("adds", "v/m", NOW // 60)
    first.record(20.0, None)
    first.record(None, "timeout")
    first.record_speed(100, 500)
    second = Minute("adds", "v/m", NOW // 60)
    second.record(20.0, None)
    second.record(9000.0, None)
    earlier = Minute("adds", "v/other", NOW // 60 - 9)
    earlier.record(20.0, None)
    await health.add([first])
    await health.add([second, earlier])
    assert await health.since("adds", NOW // 60 - 5) == [
        Minute("adds", "v/m", NOW // 60, 3, 1, {0: 2, 13: 1}, "timeout", 100, 500)
    ]
    assert [seen.model for seen in await health.since("adds", NOW // 60 - 9)] == ["v/other", "v/m"]
    assert await health.since("another", 0) == []
