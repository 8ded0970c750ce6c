"""Videos by providers that make a task of each and tell by its id how it goes: what their adapters have in common."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from aig.modalities.job import Handle, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls
from aig_providers.video_settings import Makes, Settings, known, settings
from aig_providers.wire import HttpRequest, Post, ReadDetail


@dataclass(frozen=True, slots=True)
class TaskWire:
    """How one provider says it. `of_the_key` is that of `job_calls.submitted`."""

    models: Mapping[str, Makes]
    build_request: Callable[[Upstream, VideoRequest], HttpRequest]
    parse_submitted: Callable[[bytes, Settings], State]
    poll: Callable[[Upstream, Handle], HttpRequest]
    parse_polled: Callable[[bytes, Upstream, Handle], State]
    cancel: Callable[[Upstream, Handle], HttpRequest]
    read_detail: ReadDetail
    of_the_key: Container[int] = ()


class VideoTasks:
    """For providers without a key that makes two submissions one, and without a field for a reference of ours."""

    idempotent = False

    def __init__(self, post: Post, wire: TaskWire) -> None:
        self._post = post
        self._wire = wire

    def check(self, upstream: Upstream, request: VideoRequest) -> None:
        settings(known(self._wire.models, upstream.model_id), request)

    async def submit(self, upstream: Upstream, request: VideoRequest, reference: str, stage: Handle | None) -> State:
        wire = self._wire
        asked = settings(known(wire.models, upstream.model_id), request)
        http = wire.build_request(upstream, request)
        payload = await job_calls.submitted(self._post, http, upstream, wire.read_detail, of_the_key=wire.of_the_key)
        return wire.parse_submitted(payload, asked)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        http = self._wire.poll(upstream, handle)
        payload = await job_calls.followed(self._post, http, upstream, self._wire.read_detail)
        return self._wire.parse_polled(payload, upstream, handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        await job_calls.stopped(self._post, self._wire.cancel(upstream, handle), upstream, self._wire.read_detail)
