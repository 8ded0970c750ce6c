"""What a call costs us at those who were asked and did not answer."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from aig import attempts
from aig.attempts import attempt_each
from aig.errors import AIGError, UpstreamError, UpstreamKind, UpstreamTimeout
from aig.modalities.image import ImageRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.money.pricing import Prices, Rates
from aig.money.units import Pico
from aig.ports import Adapter
from aig_providers import bfl
from aig_providers.wire import HttpRequest, Reply
from tests.unit.calls import Scene, candidate
from tests.unit.providers.replies import Canned


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACK_OFF_S", 0.0)


@pytest.mark.parametrize(
    ("error", "amounts"),
    [
        (UpstreamError("timeout"), [2000]),
        (UpstreamError("malformed"), [2000]),
        (UpstreamError("unavailable", status=500, usage=Usage({"input_tokens": 7})), [7000]),
        (UpstreamError("unavailable", status=500), []),
        (UpstreamError("connect"), []),
        (UpstreamError("rejected", status=400), []),
    ],
    ids=str,
)
async def test_what_came_to_nothing_may_be_billed(error: UpstreamError, amounts: list[int]) -> None:
    scene = Scene(a=[error], b=["well"])
    call = scene.call()  # ten bytes are two tokens, at a thousandth of a cent
    with contextlib.suppress(AIGError):
        await attempt_each(call, scene.start)
    assert [loss.amount for loss in call.losses] == amounts
    assert {(loss.reason, loss.provider, loss.request_id) for loss in call.losses} <= {
        ("abandoned_attempt", "a", "req_1")
    }


@pytest.mark.parametrize("kind", ["timeout", "malformed"])
@pytest.mark.parametrize(
    ("rates", "amount"),
    [
        ({"images": Pico(40_000_000_000)}, 80_000_000),
        ({"steps": Pico(1_000_000)}, 100_000),
        ({"images": Pico(40_000_000_000), "input_tokens": Pico(1_000_000)}, 80_002_000),
    ],
    ids=["by the image", "by the step", "by image and token"],
)
async def test_so_may_what_is_not_billed_by_the_token(kind: UpstreamKind, rates: Rates, amount: int) -> None:
    scene, made = Scene(a=[UpstreamError(kind)]), candidate("a")
    call = scene.call(replace(made, offer=replace(made.offer, prices=Prices(rates))))
    demand = replace(call.demand, counts={"images": 2, "tiles": 8, "steps": 100})
    call = replace(call, demand=demand)
    with pytest.raises(AIGError):
        await attempt_each(call, scene.start)
    assert [loss.amount for loss in call.losses] == [amount] * len(scene.asked)
    assert scene.telemetry.alarms == []


class Jobs:
    """A server that takes the first picture to be made, is busy for the others, and ends none."""

    def __init__(self) -> None:
        self.submitted = 0

    @contextlib.asynccontextmanager
    async def post(self, http: HttpRequest, _: Timeouts) -> AsyncIterator[Reply]:
        if http.method == "GET":
            yield Canned([b'{"status": "Pending"}'])
            return
        self.submitted += 1
        first = self.submitted == 1
        url = http.url.replace("flux", "get_result")
        yield Canned([json.dumps({"polling_url": url}).encode() if first else b"{}"], 200 if first else 429)


async def test_what_an_adapter_tells_of_an_attempt_that_took_too_long_is_booked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two pictures that were asked for, one has been begun."""
    monkeypatch.setattr(attempts, "ANSWER_S", 0.2)
    monkeypatch.setattr(attempts, "LEAST_ATTEMPT_S", 0.0)
    monkeypatch.setattr(bfl, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(bfl, "LONGEST_WAIT_S", 0.0)
    scene, made = Scene(bfl=[]), candidate("bfl")
    prices = Prices({"images": Pico(40_000_000_000)})
    call = scene.call(replace(made, offer=replace(made.offer, prices=prices)))
    call = replace(call, demand=replace(call.demand, counts={"images": 2}))
    server = Jobs()

    async def start(_: Adapter, upstream: Upstream, __: int) -> object:
        return await bfl.BflImage(server.post).image(upstream, ImageRequest((), "a cat", n=2))

    with pytest.raises(UpstreamTimeout):
        await attempt_each(call, start)
    assert [loss.amount for loss in call.losses] == [40_000_000]
