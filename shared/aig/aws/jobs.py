"""Jobs: job#<id> under the tenant, and how many of them are at work at a provider.

  job#<id>             the order and its state; `expires_at` in the index `expiry` until it has ended: when it is next
                       to be looked at by somebody else than its own machine
  order#<id>           the body of its request, until it has ended
  slots#<provider>     used: under the platform those of all tenants, under an account those that it pays for

A place at a provider is taken with the change to `processing`, and given back with the change to an end, in one
transaction each: so that none is lost, whoever dies.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from pydantic_core import to_json

from aig.aws.events import event_item
from aig.aws.table import Table
from aig.jobs.job import Ending, Failure, File, Job, Order, Placed, Stamp, Status
from aig.jobs.times import GRACE_S, ROW_S, SILENT_S, UNSEEN_S
from aig.modalities.job import Handle, JobKind
from aig.modalities.usage import Unit, Usage
from aig.money.units import Nano
from aig.ports import StoreBusy

PLATFORM = "platform"
EXPIRY_BUCKETS = 4  # as those of holds
_READ_AT_ONCE = 100

_NO_STAMP: Mapping[str, None] = {"stamp": None, "stamp_until": None}

Claimed = Literal["claimed", "full", "changed"]


def _bucket(job_id: str) -> str:
    return f"job#{hashlib.sha256(job_id.encode()).digest()[0] % EXPIRY_BUCKETS}"


class DynamoJobs:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def get(self, account_id: str, job_id: str) -> Job | None:
        """As it is, read consistently."""
        item = await self._table.get(account_id, f"job#{job_id}")
        return _load(item) if item else None

    async def page(
        self,
        account_id: str,
        *,
        limit: int,
        after: str | None = None,
        status: Status | None = None,
        kind: JobKind | None = None,
    ) -> tuple[list[Job], bool]:
        """The newest first, those older than the job `after`; and whether there are more."""
        if status is None and kind is None:
            items, more = await self._table.page(account_id, "job#", limit=limit, after=after)
            return [_load(item) for item in items], more
        found: list[Job] = []
        more = True
        while more and len(found) <= limit:
            items, more = await self._table.page(account_id, "job#", limit=_READ_AT_ONCE, after=after)
            jobs = [_load(item) for item in items]
            found += [job for job in jobs if status in (None, job.status) and kind in (None, job.order.kind)]
            after = jobs[-1].id if jobs else None
        return found[:limit], len(found) > limit

    async def body(self, account_id: str, job_id: str) -> dict[str, Any] | None:
        """The body of its request; None once it has ended."""
        item = await self._table.get(account_id, f"order#{job_id}")
        found: dict[str, Any] | None = json.loads(item["body"]) if item else None
        return found

    async def claim(self, job: Job, candidate: str, stamp: Stamp, concurrency: int) -> Claimed:
        """The right to submit it to a candidate: a place at its provider, and the stamp. `full` where there is none.

        `changed`: the job is not as it was seen any more. At most half of the places are one payer's.
        """
        provider = candidate.partition("/")[0]
        changes: dict[str, Any] = {
            "status": "processing",
            "candidate": candidate,
            "stamp": stamp.token,
            "stamp_until": stamp.until,
            "expires_at": stamp.until + GRACE_S,
        }
        actions = [self._change(job, changes)]
        if provider != job.provider:
            actions += self._takings(job, provider, concurrency)
            actions += self._givings(job)
        try:
            failed = await self._table.transact(actions)
        except StoreBusy:
            # The reply may be what was lost, and nobody else would find out whose stamp it is.
            found = await self.get(job.order.account_id, job.id)
            if found is None or found.stamp != stamp:
                raise
            return "claimed"
        if not failed:
            return "claimed"
        return "changed" if 0 in failed else "full"

    async def submitted(self, job: Job, handle: Handle, started_at: int, deadline_at: int) -> bool:
        """The provider has it. False if the job is not as it was seen any more."""
        changes: dict[str, Any] = {
            "handle": _text(handle),
            "stage": None,
            **_NO_STAMP,
            "started_at": started_at,
            "deadline_at": deadline_at,
            "expires_at": started_at + SILENT_S,
        }
        return await self._changed(job, changes)

    async def staged(self, job: Job, stage: Handle, spent: Mapping[Unit, int]) -> bool:
        """One paid step is done, and the next is to be submitted."""
        counted = {str(unit): count for unit, count in spent.items()}
        changes: dict[str, Any] = {"stage": _text(stage), "spent": _text(counted), "handle": None, **_NO_STAMP}
        return await self._changed(job, {**changes, "tries": 0})

    async def unclaimed(self, job: Job) -> bool:
        """Nobody has taken it on in this round: it is queued again, unless a paid step binds it to its provider."""
        changes: dict[str, Any] = {**_NO_STAMP, "tries": job.tries + 1}
        if job.stage is not None:
            return await self._changed(job, changes)
        back: dict[str, Any] = {**changes, "status": "queued", "candidate": None}
        return not await self._table.transact([self._change(job, back), *self._givings(job)])

    async def doubtful(self, job: Job, now: int) -> bool:
        """The provider may have taken it on, and can be asked again for the same job."""
        return await self._changed(job, {"stamp_until": now, "tries": job.tries + 1})

    async def polled(self, job: Job, progress: int | None, lost: int) -> bool:
        return await self._changed(job, {"progress": progress, "lost": lost})

    async def stored(self, job: Job, files: Sequence[File], usage: Usage) -> bool:
        """Its files are kept: all that is left is to pay for it."""
        changes: dict[str, Any] = {
            "files": to_json([asdict(file) for file in files]).decode(),
            "usage": _text(_usage_table(usage)),
            "progress": 100,
            **_NO_STAMP,
        }
        return await self._changed(job, changes)

    async def look_again(self, job: Job, at: int, deadline_at: int | None = None) -> bool:
        """Not before `at` is it due again; with a deadline, it has until then."""
        return await self._changed(job, {"expires_at": at, "deadline_at": deadline_at or job.deadline_at})

    async def due(self, now: int, most: int) -> Sequence[Job]:
        """Those that have not ended and were to be looked at by then, of each bucket the first `most`."""
        found: list[Job] = []
        for bucket in range(EXPIRY_BUCKETS):
            of_bucket: list[Job] = []
            pages = self._table.pages(
                "expiry_bucket = :bucket AND expires_at < :now",
                {":bucket": f"job#{bucket}", ":now": now},
                index="expiry",
            )
            async for page in pages:
                of_bucket += [_load(item) for item in page]
                if len(of_bucket) >= most:
                    break
            found += of_bucket[:most]
        return found

    def put_actions(self, placed: Placed) -> list[dict[str, Any]]:
        """A new job, for the transaction that takes its hold."""
        order = placed.job.order
        body: dict[str, Any] = {
            "pk": order.account_id,
            "sk": f"order#{order.id}",
            "body": json.dumps(placed.body, separators=(",", ":"), ensure_ascii=False),
            "ttl": order.created_at + ROW_S,
        }
        return [self._table.put_action(_item(placed.job)), self._table.put_action(body)]

    def end_actions(self, ending: Ending) -> list[dict[str, Any]]:
        """The end of a job, for the transaction that resolves its hold; the first fails if it is not as it was seen."""
        job = ending.job
        changes: dict[str, Any] = {
            "status": ending.status,
            "ended_at": ending.ended_at,
            "cost": ending.cost,
            "failure": _text(ending.failure.to_json()) if ending.failure else None,
            **dict.fromkeys(("handle", "stage", "expiry_bucket")),
            **_NO_STAMP,
        }
        told = [self._table.put_action(event_item(ending.event))] if ending.event else []
        forgotten = self._table.delete_action(job.order.account_id, f"order#{job.id}")
        return [self._change(job, changes), *self._givings(job), forgotten, *told]

    async def end(self, ending: Ending) -> bool:
        """End it where its hold was resolved before. False if it is not as it was seen any more."""
        return not await self._table.transact(self.end_actions(ending))

    def _takings(self, job: Job, provider: str, concurrency: int) -> list[dict[str, Any]]:
        each = ((PLATFORM, concurrency), (job.order.payer_id, max(1, concurrency // 2)))
        return [
            self._table.update_action(
                owner,
                f"slots#{provider}",
                "ADD used :one",
                {":one": 1, ":most": most},
                "attribute_not_exists(used) OR used < :most",
            )
            for owner, most in each
        ]

    def _givings(self, job: Job) -> list[dict[str, Any]]:
        if job.provider is None:
            return []
        return [
            self._table.update_action(owner, f"slots#{job.provider}", "ADD used :less", {":less": -1})
            for owner in (PLATFORM, job.order.payer_id)
        ]

    def _change(self, job: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The changes, if what a step goes by is as it was seen: nobody else has moved the job since."""
        seen: dict[str, str | None] = {
            "status": job.status,
            "candidate": job.candidate,
            "stamp": job.stamp.token if job.stamp else None,
            "handle": _text(job.handle) if job.handle is not None else None,
            "stage": _text(job.stage) if job.stage is not None else None,
        }
        there = {name: value for name, value in seen.items() if value is not None}
        conditions = [f"#{name} = :seen_{name}" for name in there]
        conditions += [f"attribute_not_exists(#{name})" for name in seen.keys() - there.keys()]
        values = {f":seen_{name}": value for name, value in there.items()}
        named = {name: name for name in seen if name not in changes}
        return self._table.change_action(
            job.order.account_id, f"job#{job.id}", changes, " AND ".join(conditions), values, **named
        )

    async def _changed(self, job: Job, changes: Mapping[str, Any]) -> bool:
        return await self._table.apply(self._change(job, changes))


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _usage_table(usage: Usage) -> dict[str, Any]:
    return {"units": dict(usage.units), "estimated": usage.estimated, "service_tier": usage.service_tier}


def _item(job: Job) -> dict[str, Any]:
    order = job.order
    return {
        "pk": order.account_id,
        "sk": f"job#{order.id}",
        "kind": order.kind,
        "status": job.status,
        "key_id": order.key_id,
        "request_id": order.request_id,
        "trace_id": order.trace_id,
        "model": order.model,
        "candidates": order.candidates,
        "created_at": order.created_at,
        "media_url": order.media_url,
        "picture": order.picture,
        "webhook_url": order.webhook_url,
        "tag": order.tag,
        "retain": order.retain,
        "sandbox_seconds": order.sandbox_seconds,
        "session": order.session or None,
        "parent_id": order.parent_id,
        "counts": _text({str(unit): count for unit, count in order.counts.items()}),
        "tier": order.tier,
        "deadline_at": job.deadline_at,
        "expires_at": order.created_at + UNSEEN_S,
        "expiry_bucket": _bucket(order.id),
        "ttl": order.created_at + ROW_S,
    }


def _load(item: dict[str, Any]) -> Job:
    order = Order(
        id=item["sk"].partition("#")[2],
        kind=item["kind"],
        account_id=item["pk"],
        key_id=item["key_id"],
        request_id=item["request_id"],
        trace_id=item["trace_id"],
        model=item["model"],
        candidates=item["candidates"],
        created_at=item["created_at"],
        media_url=item["media_url"],
        picture=item.get("picture"),
        webhook_url=item.get("webhook_url"),
        tag=item.get("tag"),
        retain=item["retain"],
        sandbox_seconds=item["sandbox_seconds"],
        session=item.get("session", ""),
        parent_id=item.get("parent_id"),
        counts=_loaded(item, "counts") or {},
        tier=item.get("tier"),
    )
    job = Job(
        order,
        item["status"],
        item["deadline_at"],
        look_at=item["expires_at"],
        candidate=item.get("candidate"),
        stamp=Stamp(item["stamp"], item["stamp_until"]) if "stamp" in item else None,
        handle=_loaded(item, "handle"),
        stage=_loaded(item, "stage"),
        spent=_loaded(item, "spent") or {},
        tries=item.get("tries", 0),
        lost=item.get("lost", 0),
        progress=item.get("progress"),
        started_at=item.get("started_at"),
    )
    return _with_end(job, item)


def _with_end(job: Job, item: Mapping[str, Any]) -> Job:
    usage, failure = _loaded(item, "usage"), _loaded(item, "failure")
    return replace(
        job,
        files=tuple(File(**file) for file in _loaded(item, "files") or ()),
        usage=Usage(**usage) if usage else None,
        ended_at=item.get("ended_at"),
        cost=Nano(item["cost"]) if "cost" in item else None,
        failure=Failure(**failure) if failure else None,
    )


def _loaded(item: Mapping[str, Any], name: str) -> Any:
    return json.loads(item[name]) if name in item else None
