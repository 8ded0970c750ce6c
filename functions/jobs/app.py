"""GET /v1/jobs and /v1/jobs/{job_id}, DELETE /v1/jobs/{job_id}: what has become of jobs."""

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from mangum import Mangum
from starlette.responses import Response

from aig import generation, wiring
from aig.aws.jobs import DynamoJobs
from aig.errors import InvalidRequest, NotFound
from aig.http import pages, tenancy
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.jobs_reference import COMPLETED, QUEUED
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation, query
from aig.http.tenancy import tenant_meant
from aig.ids import has_form
from aig.jobs.job import KINDS, STATUSES, Job, Status
from aig.jobs.view import job_json, links_of, type_of
from aig.keys import Caller
from aig.modalities.job import JobKind

T = TypeVar("T", bound=str)

container = wiring.container()
jobs = DynamoJobs(container.table)
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway jobs", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")

Asker = Annotated[Caller, Depends(authenticated("inference"))]
_TYPES = {type_of(kind): kind for kind in KINDS}


@app.get(
    "/v1/jobs",
    **operation(
        "listJobs",
        "The tenant's jobs of the last thirty days",
        "jobs",
        answer=pages.list_body([COMPLETED]),
        errors=(400, 401, 403, 503),
        parameters=(
            *pages.PARAMETERS,
            tenancy.PARAMETER,
            query("status", f"Those that are {', '.join(STATUSES)}."),
            query("type", f"Those of one type: {', '.join(_TYPES)}."),
        ),
    ),
)
async def list_jobs(request: Request, caller: Asker) -> Response:
    pages.check_known(request, ("limit", "after", "status", "type", "sub_account"))
    page, tenant = pages.requested(request), await _tenant(request, caller)
    status: Status | None = _one_of(request, "status", {status: status for status in STATUSES})
    kind: JobKind | None = _one_of(request, "type", _TYPES)
    found, more = await jobs.page(tenant, limit=page.limit, after=page.after, status=status, kind=kind)
    return pages.list_answer([await _shown(job) for job in found], has_more=more)


@app.get(
    "/v1/jobs/{job_id}",
    **operation(
        "retrieveJob",
        "A job",
        "jobs",
        answer=COMPLETED,
        errors=(400, 401, 403, 404, 503),
        parameters=(tenancy.PARAMETER,),
    ),
)
async def retrieve_job(request: Request, job_id: str, caller: Asker) -> Response:
    pages.check_known(request, ("sub_account",))
    return JsonAnswer(await _shown(await _job(await _tenant(request, caller), job_id)))


@app.delete(
    "/v1/jobs/{job_id}",
    **operation(
        "cancelJob",
        "Cancel a job that is still queued",
        "jobs",
        answer={**QUEUED, "status": "cancelled", "ended_at": 1_795_000_001, "usage": {"cost": "0.00"}},
        errors=(400, 401, 403, 404, 409, 503),
        parameters=(tenancy.PARAMETER,),
    ),
)
async def cancel_job(request: Request, job_id: str, caller: Asker) -> Response:
    pages.check_known(request, ("sub_account",))
    job = await _job(await _tenant(request, caller), job_id)
    return JsonAnswer(await _shown(await generation.cancel(container.wallets, jobs, container.clock, job)))


async def _tenant(request: Request, caller: Caller) -> str:
    return await tenant_meant(caller, request.query_params.get("sub_account"), container.sub_accounts)


async def _job(tenant: str, job_id: str) -> Job:
    job = await jobs.get(tenant, job_id) if has_form(job_id, "job") else None
    if job is None:
        raise NotFound("There is no such job, or it is older than thirty days. GET /v1/jobs lists those there are.")
    return job


async def _shown(job: Job) -> dict[str, Any]:
    return job_json(job, links_of(job, (await container.link_keys())[0]), container.clock.now())


def _one_of(request: Request, name: str, known: dict[str, T]) -> T | None:
    value = request.query_params.get(name)
    if value is not None and value not in known:
        raise InvalidRequest(f"{name} is one of {', '.join(known)}.", param=name)
    return known[value] if value is not None else None
