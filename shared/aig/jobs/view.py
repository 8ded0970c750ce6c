"""A job as clients see it: in answers, and in the events that tell of its end. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from aig import links
from aig.jobs.job import File, Job
from aig.jobs.times import FILES_S
from aig.modalities.job import JobKind
from aig.modalities.usage import units_json
from aig.money.units import usd

Link = Callable[[str], str]  # of a file's name
_OBJECTS: Mapping[JobKind, str] = {
    "video": "video.generation",
    "music": "audio.music",
    "three_d": "3d.generation",
}


def type_of(kind: JobKind) -> str:
    """What a job of a kind is called: after its endpoint."""
    return _OBJECTS[kind]


def expires_at(job: Job) -> int:
    """When the job's files go."""
    return job.order.created_at + FILES_S


def link_to(job: Job, name: str, until: int, key: bytes) -> str:
    """A URL that opens a file to whoever has it, until a time in unix seconds."""
    path = links.result_path(job.order.account_id, job.id, name)
    return f"{job.order.media_url}/media/{path}?{links.signed_query(path, until, key)}"


def links_of(job: Job, key: bytes) -> Link:
    """Links to a job's files that last as long as they do."""
    return lambda name: link_to(job, name, expires_at(job), key)


def job_json(job: Job, link: Link, now: float) -> dict[str, Any]:
    """`result_url` and the files' own are links that need no key, None once the files are gone."""
    order, kept = job.order, now < expires_at(job)
    files = [_file(file, link if kept else None) for file in job.files] if job.status == "completed" else []
    return {
        "id": job.id,
        "object": "job",
        "type": type_of(order.kind),
        "status": job.status,
        "model": job.model,
        "provider": job.provider,
        "created": order.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "expires_at": expires_at(job),
        "expired": bool(files) and not kept,
        "progress": 100 if job.status == "completed" else job.progress,
        "result_url": files[0]["url"] if files else None,
        "result": {"files": files} if files else None,
        "error": job.failure.to_json() if job.failure else None,
        "usage": _usage(job),
        "tag": order.tag,
        "request_id": order.request_id,
        "webhook_url": order.webhook_url,
    }


def _usage(job: Job) -> dict[str, Any] | None:
    if not job.ended:
        return None
    counted = units_json(job.usage) if job.usage and job.status == "completed" else {}
    return {**counted, "cost": usd(job.cost or 0)}


def _file(file: File, link: Link | None) -> dict[str, Any]:
    return {
        "filename": file.name,
        "content_type": file.media_type,
        "bytes": file.size,
        "sha256": file.sha256,
        "url": link(file.name) if link else None,
    }
