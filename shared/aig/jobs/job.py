"""A job: a generation that takes minutes, from its request to its files. Pure.

    queued -> processing -> completed | failed
    queued -> cancelled | failed

Each change is conditional on the state before. While it is processing it is submitted (under a stamp, so that nobody
submits it twice), then polled by its handle, then its files are kept, and in the end it is paid for. What no provider
has taken on is queued again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aig.events import Event
from aig.modalities.job import Handle, JobKind
from aig.modalities.usage import Unit, Usage
from aig.money.units import NOTHING, Nano

Status = Literal["queued", "processing", "completed", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
ENDED: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})
KINDS: tuple[JobKind, ...] = get_args(JobKind)


@dataclass(frozen=True, slots=True)
class File:
    """One of a job's results as it was kept: its name is ours, its type sniffed, `sha256` in hex."""

    name: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job has no result: a code, what the client is told to do, and of which type of error it is."""

    type: str
    code: str
    message: str
    param: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, "code": self.code, "message": self.message, "param": self.param}


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who is submitting it, and until when, in unix seconds, nobody else may."""

    token: str
    until: int


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, and by whom: it does not change. Times in unix seconds.

    `candidates` are keys, `provider/vendor/model`, in the order in which they are tried. `media_url` is where links to
    its files lead, `request_id` that of the hold; `counts` and `tier` bound its price. Its request's body lies
    beside it, until its end.
    """

    id: str
    kind: JobKind
    account_id: str
    key_id: str
    request_id: str
    trace_id: str
    model: str
    candidates: tuple[str, ...]
    created_at: int
    media_url: str
    picture: str | None = None  # its media type, where one lies beside the job
    webhook_url: str | None = None
    tag: str | None = None
    retain: bool = True
    sandbox_seconds: int = 3
    session: str = ""
    parent_id: str | None = None
    counts: Mapping[Unit, int] = field(default_factory=dict)
    tier: str | None = None

    @property
    def payer_id(self) -> str:
        return self.parent_id or self.account_id


@dataclass(frozen=True, slots=True)
class Job:
    """An order and what has become of it. `deadline_at` is when it fails unless it is further by then.

    While it is queued that is to be taken on, and then to be done. Whoever brings it on says by `look_at` until when
    nobody else need look at it.

    `candidate` is the one that has it, `handle` what its adapter asks for it by, `stage` that of the paid step before,
    `spent` what such steps have consumed. `tries` counts the rounds of submitting, `lost` the polls that found nobody
    who knew it. `files` and `units` are there as soon as the files are kept.
    """

    order: Order
    status: Status
    deadline_at: int
    look_at: int = 0
    candidate: str | None = None
    stamp: Stamp | None = None
    handle: Handle | None = None
    stage: Handle | None = None
    spent: Mapping[Unit, int] = field(default_factory=dict)
    tries: int = 0
    lost: int = 0
    progress: int | None = None
    started_at: int | None = None
    files: tuple[File, ...] = ()
    usage: Usage | None = None
    ended_at: int | None = None
    cost: Nano | None = None
    failure: Failure | None = None

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def provider(self) -> str | None:
        return self.candidate.partition("/")[0] if self.candidate else None

    @property
    def model(self) -> str:
        """The slug of the model that has it, or of the first that is to be tried."""
        return self.candidate.partition("/")[2] if self.candidate else self.order.model


@dataclass(frozen=True, slots=True)
class Placed:
    """A new job with the checked body of its request, without the picture."""

    job: Job
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ends, from the state that `job` was seen in: written with its money and the event that tells of it."""

    job: Job
    status: Literal["completed", "failed", "cancelled"]
    ended_at: int
    cost: Nano = NOTHING
    failure: Failure | None = None
    event: Event | None = None
