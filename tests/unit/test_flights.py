"""Who leads, who waits, and for how long."""

import asyncio

from aig.cached import CachedAnswer
from aig.flights import UNSHARED, Flights
from aig.modalities.usage import Usage

ANSWER = CachedAnswer("v/m", "p", "m", Usage({}), ({},))
NEVER_S = 60.0


async def test_all_who_wait_get_what_it_lands_with() -> None:
    flights = Flights()
    flight = flights.begin("k", 10.0)
    assert flights.open("k", 9.0) is flight
    assert flights.open("other", 9.0) is None
    waiting = [asyncio.create_task(flight.wait(NEVER_S)) for _ in range(3)]
    await asyncio.sleep(0)
    flights.end("k", flight, ANSWER)
    assert await asyncio.gather(*waiting) == [ANSWER] * 3
    assert flights.open("k", 9.0) is None


async def test_it_lands_once() -> None:
    flights = Flights()
    flight = flights.begin("k", 10.0)
    flights.end("k", flight, UNSHARED)
    flights.end("k", flight, ANSWER)
    assert await flight.wait(NEVER_S) is UNSHARED


async def test_who_has_waited_long_enough_knows_nothing() -> None:
    flight = Flights().begin("k", 10.0)
    assert await flight.wait(0.0) is None
    assert await flight.wait(-1.0) is None


async def test_one_that_is_overdue_is_open_no_more_and_does_not_end_the_next() -> None:
    flights = Flights()
    lost = flights.begin("k", 10.0)
    assert flights.open("k", 10.0) is None
    following = flights.begin("k", 20.0)
    flights.end("k", lost)
    assert flights.open("k", 11.0) is following
