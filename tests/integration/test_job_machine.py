"""Each branch of statemachines/job.asl.json, run as the local stack runs it.

The tasks are the worker's real handler. Waits last a thousandth of what they say, and time passes by what they say; the
pauses between retries are noted and not made.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from aig.aws.jobs import PLATFORM
from aig.errors import UpstreamError
from aig.generation import cancel
from aig.jobs import times
from aig.jobs.job import Job
from aig.modalities.job import Failed, Linked, Stage, Working
from aig.ports import StoreBusy
from local.deploy import create_machines
from local.machine_resources import Machine
from local.machines import run_tasks
from local.template import Stack
from tests import apps
from tests.builders import Account, an_account
from tests.jobs import COST, MAKER, ONE, UPSTREAM, VIDEO, Shop, done, failed, losses, spent

SCALE = 0.001
PATIENCE_S = 60.0
WORKS = ["Submit", "Decide", "WaitForProvider", "Poll", "Decide", "Store", "Decide", "Settle", "Decide", "Ended"]


def within(pauses: Sequence[float], bounds: Sequence[float]) -> bool:
    """Whether there is one pause for each of these, and none of them longer: how much shorter, chance says."""
    return len(pauses) == len(bounds) and all(0 <= pause <= most for pause, most in zip(pauses, bounds, strict=True))


class Alarms:
    def __init__(self) -> None:
        self.raised: list[str] = []

    def request(self, **fields: Any) -> None:
        """Not of interest here."""

    def alarm(self, name: str, **fields: Any) -> None:
        self.raised.append(name)


class Line:
    """The machine and the worker behind it. `trouble` may raise in the place of a step, by its action."""

    def __init__(self, shop: Shop, module: Any, machine: Machine, endpoint: str, pauses: list[float]) -> None:
        self.shop, self.module, self.pauses = shop, module, pauses
        self.client = boto3.client("stepfunctions", endpoint_url=endpoint)
        self.arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{machine.name}"
        self.trouble: Callable[[str], None] = lambda action: None
        self.told: list[Mapping[str, Any]] = []
        self.states: list[str] = []
        self.alarms = Alarms()
        run_tasks([machine], self._invoke, lambda _: None)
        gateway = replace(shop.gateway, wallets=module.gateway.wallets, secrets=module.gateway.secrets)
        module.container = replace(module.container, telemetry=self.alarms)
        module.steps = replace(module.steps, gateway=gateway, results=shop.downloads, insist_s=())

    def _invoke(self, function: str, event: dict[str, Any]) -> object:
        assert function == "JobWorkerFunction"
        self.trouble(event["action"])
        told: dict[str, Any] = self.module.handler(event, None)
        self.told.append({**event, **told})
        self.shop.clock.time += told["wait_s"] / SCALE
        return told

    async def run(self, job: Job) -> Job:
        """The job once its execution is over: begun by a message, as on AWS."""
        body = json.dumps({"tenant": job.order.account_id, "job_id": job.id})
        records = {"Records": [{"messageId": "1", "body": body}]}
        assert await asyncio.to_thread(self.module.handler, records, None) == {"batchItemFailures": []}
        await asyncio.to_thread(self.ended, job.id)
        return await self.shop.look(job)

    def names(self) -> set[str]:
        """Those of all executions that there have been."""
        return {found["name"] for found in self.client.list_executions(stateMachineArn=self.arn)["executions"]}

    def ended(self, name: str) -> None:
        """Waits until the execution is over, and well."""
        execution = f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.01)
        assert found["status"] == "SUCCEEDED", found
        history = self.client.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        self.states = [
            event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
        ]


@pytest.fixture
async def line(shop: Shop, deployed: Stack, dynamodb: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setenv("AIG_TIME_SCALE", str(SCALE))
    pauses: list[float] = []
    paused = SimpleNamespace(sleep=pauses.append)
    monkeypatch.setattr("moto.stepfunctions.parser.asl.component.common.retry.retrier_decl.time", paused)
    (template,) = [machine for machine in deployed.machines if machine.logical_id == "JobMachine"]
    machine = replace(template, name=f"job-{uuid.uuid4().hex}")
    create_machines([machine], dynamodb)
    module = apps.start(
        deployed.functions["JobWorkerFunction"],
        AIG_JOB_MACHINE=f"arn:aws:states:us-east-1:123456789012:stateMachine:{machine.name}",
        AIG_STATES_ENDPOINT=dynamodb,
        AIG_TIME_SCALE=str(SCALE),
    )
    opened = Line(shop, module, machine, dynamodb, pauses)
    yield opened
    opened.client.close()


def once(action: str, error: Exception, times_: int = 1) -> Callable[[str], None]:
    """Trouble so many times with one action."""
    left = [times_]

    def trouble(asked: str) -> None:
        if asked == action and left[0]:
            left[0] -= 1
            raise error

    return trouble


class Boom(Exception):
    """What no definition knows."""


class TestAJob:
    async def test_is_submitted_polled_kept_and_charged(self, line: Line, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Working({"id": "1"}, 10), Working({"id": "1"}, 50), done()]
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.states == [*WORKS[:2], *["WaitForProvider", "Poll", "Decide"] * 2, *WORKS[2:]]
        assert await spent(shop, buyer) == COST
        assert (line.pauses, line.alarms.raised) == ([], [])

    async def test_of_a_provider_that_answers_at_once_is_not_polled(
        self, line: Line, shop: Shop, buyer: Account
    ) -> None:
        shop.maker.submitting = [done()]
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.states == ["Submit", "Decide", "Settle", "Decide", "Ended"]
        assert await spent(shop, buyer) == COST

    async def test_of_two_paid_steps_is_submitted_twice(self, line: Line, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [Working({"id": "sketch"}), Working({"id": "whole"})]
        shop.maker.polling = [Stage({"sketch": 1}, ONE), done()]
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.states == [*WORKS[:5], "WaitForTurn", *WORKS]
        assert await spent(shop, buyer) == 2 * COST

    async def test_that_nobody_has_room_for_waits_for_its_turn(self, line: Line, shop: Shop, buyer: Account) -> None:
        first = [await shop.order(buyer) for _ in range(4)]
        for job in first:
            await shop.take("submit", job)

        def room(action: str) -> None:
            if len(line.told) == 3:
                asyncio.run_coroutine_threadsafe(shop.run(first[0], "poll"), loop).result(PATIENCE_S)

        loop = asyncio.get_running_loop()
        line.trouble = room
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.states[:8] == ["Submit", "Decide", "WaitForTurn"] * 2 + ["Submit", "Decide"]
        for job in first[1:]:
            await shop.run(job, "poll")
        assert await shop.slots(MAKER) == 0

    async def test_whose_file_is_out_of_reach_for_a_while_has_it_fetched_again(
        self, line: Line, shop: Shop, buyer: Account
    ) -> None:
        gone = UpstreamError("unavailable", status=503)
        shop.downloads.there = {"https://a.example/1": gone, "https://a.example/2": VIDEO}
        shop.maker.polling = [done(Linked("https://a.example/1"))] * 4 + [done(Linked("https://a.example/2"))]
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.states == WORKS
        assert line.pauses == [4, 8, 16]
        assert await spent(shop, buyer) == COST

    @pytest.mark.parametrize("action", ["submit", "poll", "store", "settle"])
    async def test_meets_a_busy_store_with_patience(self, line: Line, shop: Shop, buyer: Account, action: str) -> None:
        line.trouble = once(action, StoreBusy("throttled"), 3)
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.states == WORKS
        assert within(line.pauses, [2, 4, 8])
        assert await spent(shop, buyer) == COST
        assert len(shop.maker.references) == 1

    async def test_that_its_provider_fails_is_failed(self, line: Line, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Failed("rejected", "content_policy_violation")]
        job = await shop.order(buyer)
        await line.run(job)
        assert await failed(shop, buyer, job) == "content_policy_violation"
        assert line.states == [*WORKS[:5], "Ended"]
        assert line.alarms.raised == []

    async def test_that_is_refused_is_failed(self, line: Line, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [UpstreamError("rejected", status=400, code="invalid_value")]
        job = await shop.order(buyer)
        await line.run(job)
        assert await failed(shop, buyer, job) == "invalid_value"
        assert line.states == ["Submit", "Decide", "Ended"]

    async def test_that_takes_too_long_is_failed_at_its_deadline(self, line: Line, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Working({"id": "1"}, 1)]
        job = await shop.order(buyer)
        began = shop.clock.time
        polls = times.WORK_S["video"] // 15

        def later(action: str) -> None:
            if action == "poll" and len(line.told) == 5:
                shop.clock.time += polls * 15

        line.trouble = later
        await line.run(job)
        assert shop.clock.time - began > times.WORK_S["video"]
        assert await failed(shop, buyer, job) == "upstream_timeout"
        assert shop.maker.cancelled == [{"id": "1"}]

    async def test_that_was_cancelled_is_not_begun(self, line: Line, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await cancel(shop.container.wallets, shop.jobs, shop.clock, job)
        assert (await line.run(job)).status == "cancelled"
        assert line.states == ["Submit", "Decide", "Ended"]
        assert (shop.maker.references, await spent(shop, buyer)) == ([], 0)


class TestCompensation:
    """J17."""

    @pytest.mark.parametrize("action", ["submit", "poll", "store"])
    async def test_follows_what_nobody_foresaw(self, line: Line, shop: Shop, buyer: Account, action: str) -> None:
        line.trouble = once(action, Boom("?"))
        job = await shop.order(buyer)
        await line.run(job)
        assert await failed(shop, buyer, job) == "internal_error"
        assert line.states[-3:] == ["Compensate", "Compensated", "Ended"]
        assert line.alarms.raised == ["JobCompensated"]
        begun = action != "submit"
        assert shop.maker.cancelled == ([{"id": "1"}] if begun else [])
        assert await losses(shop, buyer) == ([("abandoned_job", UPSTREAM)] if begun else [])

    async def test_comes_late_for_a_settle_which_is_tried_whatever_happens(
        self, line: Line, shop: Shop, buyer: Account
    ) -> None:
        line.trouble = once("settle", Boom("?"), 8)
        seen = await line.run(await shop.order(buyer))
        assert seen.status == "completed"
        assert line.pauses == [2, 4, 8, 16, 32, 64, 120, 120]
        assert await spent(shop, buyer) == COST

    async def test_is_repeated_until_it_is_done(self, line: Line, shop: Shop, buyer: Account) -> None:
        first, then = once("poll", Boom("?")), once("compensate", StoreBusy("throttled"), 9)

        def trouble(action: str) -> None:
            first(action)
            then(action)

        line.trouble = trouble
        job = await shop.order(buyer)
        await line.run(job)
        assert await failed(shop, buyer, job) == "internal_error"
        assert len(line.pauses) == 9

    async def test_follows_a_store_that_stays_busy(self, line: Line, shop: Shop, buyer: Account) -> None:
        line.trouble = once("poll", StoreBusy("throttled"), 41)
        job = await shop.order(buyer)
        await line.run(job)
        assert await failed(shop, buyer, job) == "internal_error"
        assert within(line.pauses, [2, 4, 8, 16, 32] + [60] * 35)

    async def test_is_not_needed_for_one_that_is_busy_for_many_minutes(
        self, line: Line, shop: Shop, buyer: Account
    ) -> None:
        line.trouble = once("poll", StoreBusy("throttled"), 40)
        job = await line.run(await shop.order(buyer))
        assert (job.status, line.alarms.raised) == ("completed", [])
        assert len(shop.maker.references) == 1

    async def test_says_that_a_result_was_lost(self, line: Line, shop: Shop, buyer: Account) -> None:
        shop.downloads.there = {"https://a.example/1": UpstreamError("unavailable", status=503)}
        shop.maker.polling = [done(Linked("https://a.example/1"))]
        job = await shop.order(buyer)
        await line.run(job)
        assert await failed(shop, buyer, job) == "result_not_usable"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_of_a_job_that_ended_meanwhile_changes_nothing(self, line: Line, shop: Shop, buyer: Account) -> None:
        """A worker that dies behind the settle: the job was delivered and stays so."""

        def dies(action: str) -> None:
            if action == "settle":
                asyncio.run_coroutine_threadsafe(shop.take("settle", job), loop).result(PATIENCE_S)
                raise Boom

        loop = asyncio.get_running_loop()
        line.trouble = dies
        job = await shop.order(buyer)
        assert (await line.run(job)).status == "completed"
        assert await spent(shop, buyer) == COST
        assert [event.type for event in await shop.events(buyer.id)] == ["job.completed"]

    async def test_that_meets_another_change_looks_again(self, line: Line, shop: Shop, buyer: Account) -> None:
        """The first compensation finds that the job was moved on behind its look."""
        job = await shop.order(buyer)
        wallets = line.module.steps.gateway.wallets
        moved: list[Any] = []

        class Wallets:
            def __getattr__(self, name: str) -> Any:
                return getattr(wallets, name)

            async def void(self, *given: Any, **named: Any) -> bool:
                if not moved:
                    moved.append(True)
                    await line.module.steps.jobs.staged(await line.module.steps.jobs.get(buyer.id, job.id), {}, {})
                    claimed = line.module.jobs._table.change_action(
                        buyer.id, f"job#{job.id}", {"stamp": "x", "stamp_until": 1}
                    )
                    await line.module.jobs._table.transact([claimed])
                voided: bool = await wallets.void(*given, **named)
                return voided

        line.module.steps = replace(line.module.steps, gateway=replace(line.module.steps.gateway, wallets=Wallets()))
        line.trouble = once("poll", Boom("?"))
        await line.run(job)
        assert line.states[-5:] == ["Compensated", "WaitToCompensate", "Compensate", "Compensated", "Ended"]
        assert (await shop.look(job)).status == "failed"


class TestMessages:
    async def handle(self, line: Line, *bodies: str) -> list[str]:
        """The ids of the messages, which count from 0, that are to come again."""
        records = [{"messageId": str(at), "body": body} for at, body in enumerate(bodies)]
        told = await asyncio.to_thread(line.module.handler, {"Records": records}, None)
        return [failure["itemIdentifier"] for failure in told["batchItemFailures"]]

    async def test_that_come_five_times_start_one_machine(self, line: Line, shop: Shop, buyer: Account) -> None:
        """J2."""
        job = await shop.order(buyer)
        body = json.dumps({"tenant": buyer.id, "job_id": job.id})
        assert await self.handle(line, *[body] * 5) == []
        seen = await line.run(job)
        assert await self.handle(line, body) == []  # J6: redriven, when all is over
        assert (seen.status, len(shop.maker.references)) == ("completed", 1)
        assert len(line.client.list_executions(stateMachineArn=line.arn)["executions"]) == 1
        assert await spent(shop, buyer) == COST

    async def test_that_mean_nothing_come_again_and_hold_up_no_other(
        self, line: Line, shop: Shop, buyer: Account
    ) -> None:
        """J5."""
        job = await shop.order(buyer)
        good = json.dumps({"tenant": buyer.id, "job_id": job.id})
        bad = ["", "{", "[]", "null", "{}", '{"tenant": "a"}']
        assert await self.handle(line, *bad, good) == [str(at) for at in range(len(bad))]
        assert line.alarms.raised == ["JobNotStarted"] * len(bad)
        assert (await line.run(job)).status == "completed"

    async def test_of_a_late_job_end_it(self, line: Line, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        body = json.dumps({"tenant": buyer.id, "job_id": job.id, "late": True})
        assert await self.handle(line, body) == []
        assert (await shop.look(job)).status == "queued"  # it is not late
        shop.clock.time = job.deadline_at + 1
        assert await self.handle(line, body, body) == []
        assert await failed(shop, buyer, job) == "queue_timeout"
        gone = json.dumps({"tenant": buyer.id, "job_id": "job_gone", "late": True})
        assert await self.handle(line, gone) == []

    async def test_of_a_silent_job_start_another_machine(self, line: Line, shop: Shop, buyer: Account) -> None:
        """Whose first has ended, at a time when it could not even compensate: its name is used up."""
        job = await shop.order(buyer)
        down = True

        def trouble(action: str) -> None:
            if down:
                raise Boom

        line.trouble = trouble
        given = {"tenant": buyer.id, "job_id": job.id}
        assert await self.handle(line, json.dumps(given)) == []
        with pytest.raises(AssertionError, match="FAILED"):
            await asyncio.to_thread(line.ended, job.id)
        down = False
        assert await self.handle(line, json.dumps(given)) == []  # says nothing of its being silent
        assert line.names() == {job.id}
        again = json.dumps({**given, "again": 7})
        assert await self.handle(line, again, again) == []
        await asyncio.to_thread(line.ended, f"{job.id}-7")
        assert line.names() == {job.id, f"{job.id}-7"}
        assert (await shop.look(job)).status == "completed"
        assert await spent(shop, buyer) == COST
        assert len(shop.maker.references) == 1

    async def test_of_a_job_that_was_never_begun_start_its_first_machine(
        self, line: Line, shop: Shop, buyer: Account
    ) -> None:
        job = await shop.order(buyer)
        body = json.dumps({"tenant": buyer.id, "job_id": job.id, "again": 7})
        assert await self.handle(line, body) == []
        await asyncio.to_thread(line.ended, job.id)
        assert line.names() == {job.id}
        assert (await shop.look(job)).status == "completed"

    async def test_while_no_machine_can_be_started_come_again(
        self, line: Line, shop: Shop, buyer: Account, deployed: Stack
    ) -> None:
        module: Any = apps.start(deployed.functions["JobWorkerFunction"], AIG_STATES_ENDPOINT="http://127.0.0.1:9")
        module.container = replace(module.container, telemetry=line.alarms)
        line.module = module
        assert await self.handle(line, json.dumps({"tenant": buyer.id, "job_id": "job_1"})) == ["0"]
        assert line.alarms.raised == ["JobNotStarted"]


async def test_a_tenant_s_places_are_its_own(line: Line, shop: Shop, buyer: Account) -> None:
    other = await an_account(shop.container)
    for who in (buyer, other):
        await line.run(await shop.order(who))
    assert [await shop.slots(MAKER, owner) for owner in (PLATFORM, buyer.id, other.id)] == [0, 0, 0]
