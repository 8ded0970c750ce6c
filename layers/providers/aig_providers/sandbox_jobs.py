"""Jobs of the test mode: they take as long as they are told to, and end in a file that shows what was asked for.

Their handles are all that there is of them, so that nothing needs to be kept anywhere.
"""

import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aig.clock import Clock
from aig.modalities.files import fingerprint
from aig.modalities.job import Failed, Finished, Handle, Made, State, Working
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.modalities.video import VideoRequest
from aig_providers import sandbox_music
from aig_providers.sandbox_model import glb
from aig_providers.sandbox_video import mp4
from aig_providers.video_settings import refusal

RequestT = TypeVar("RequestT")
Plan = Mapping[str, Any]

FAILING = "video-fail"
VIDEO_S, MUSIC_S = 5, 10
USUAL_LINES, LONGEST_SIDE = 360, 3840
# Several threads that do nothing but compute are no faster together, and leave nothing for those that answer requests.
_ONE_AT_A_TIME = threading.Lock()
_MOST_SHOWN = 120  # characters of a prompt: a handle is small, whatever they are


@dataclass(frozen=True)
class Craft(Generic[RequestT]):
    """`check` raises UpstreamError for what cannot be made, `planned` is what a handle keeps of a request, and `made`
    the file that comes of that."""

    check: Callable[[RequestT], None]
    planned: Callable[[RequestT], Plan]
    made: Callable[[Plan], bytes]


def _shown(request: VideoRequest | ThreeDRequest) -> str:
    """The prompt, and before it what it was given to begin with."""
    given = request.picture
    begun = f"from {given.width}x{given.height} {given.media_type}: " if given else ""
    return f"{begun}{request.prompt or ''}"[:_MOST_SHOWN]


def _size(request: VideoRequest) -> tuple[int, int]:
    """Width and height in pixels, both even. The resolution is the shorter side."""
    named = request.resolution or f"{USUAL_LINES}p"
    lines = 2160 if named == "4k" else int(named.removesuffix("p"))
    wide, high = map(int, (request.aspect_ratio or "16:9").split(":"))
    longer = round(lines * max(wide, high) / min(wide, high) / 2) * 2
    return (longer, lines) if wide >= high else (lines, longer)


def _check_video(request: VideoRequest) -> None:
    if max(_size(request)) > LONGEST_SIDE:
        raise refusal("aspect_ratio", f"The sandbox's videos have at most {LONGEST_SIDE} pixels a side. Change it.")
    if request.sound:
        raise refusal("audio", "The sandbox's videos have no sound. Leave audio out.")


def _plan_video(request: VideoRequest) -> Plan:
    width, height = _size(request)
    return {"prompt": _shown(request), "length": request.seconds or VIDEO_S, "width": width, "height": height}


def _make_video(plan: Plan) -> bytes:
    return mp4(plan["prompt"], plan["length"], plan["width"], plan["height"])


def _plan_music(request: MusicRequest) -> Plan:
    asked = "\n".join((request.prompt, request.lyrics or "", "instrumental" if request.instrumental else ""))
    return {
        "prompt": fingerprint(asked.encode()),
        "length": request.seconds or MUSIC_S,
        "form": request.form or "wav",
    }


def _check_music(request: MusicRequest) -> None:
    if (request.seconds or MUSIC_S) > sandbox_music.LONGEST_SECONDS:
        raise refusal(
            "duration", f"The sandbox makes up to {sandbox_music.LONGEST_SECONDS} seconds of music. Change duration."
        )


def _make_music(plan: Plan) -> bytes:
    if plan["form"] == "wav":
        return sandbox_music.wav(plan["prompt"], plan["length"])
    return sandbox_music.mp3(plan["prompt"], plan["length"])


def _plan_model(request: ThreeDRequest) -> Plan:
    return {"prompt": _shown(request)}


def _make_model(plan: Plan) -> bytes:
    return glb(plan["prompt"])


def _check_nothing(_: object) -> None:
    return


VIDEO = Craft(_check_video, _plan_video, _make_video)
MUSIC: Craft[MusicRequest] = Craft(_check_music, _plan_music, _make_music)
THREE_D: Craft[ThreeDRequest] = Craft(_check_nothing, _plan_model, _make_model)


def begun(upstream: Upstream, plan: Plan, now: float) -> Working:
    """A job that was taken on at this moment, in unix seconds."""
    return Working({**plan, "started_at": now, "takes": upstream.sandbox_seconds}, 0)


def progress(handle: Handle, now: float) -> int:
    """From 0 to 100, by its time alone."""
    passed, takes = now - handle["started_at"], handle["takes"]
    return 100 if passed >= takes else max(0, int(100 * passed / takes))


def usage(model_id: str) -> Usage:
    """As the model is named for telling it."""
    return Usage({"assets": 0 if model_id == "zero-usage" else 1}, estimated=model_id == "no-usage")


class SandboxJobs(Generic[RequestT]):
    """`reach` fails as the model does, or finds the upstream."""

    idempotent = True

    def __init__(self, craft: Craft[RequestT], reach: Callable[[Upstream], Awaitable[None]], clock: Clock) -> None:
        self._craft, self._reach, self._clock = craft, reach, clock

    def check(self, upstream: Upstream, request: RequestT) -> None:
        self._craft.check(request)

    async def submit(self, upstream: Upstream, request: RequestT, reference: str, stage: Handle | None) -> State:
        self._craft.check(request)
        await self._reach(upstream)
        return begun(upstream, self._craft.planned(request), self._clock.now())

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        done = progress(handle, self._clock.now())
        if done < 100:
            return Working(handle, done)
        if upstream.model_id == FAILING:
            return Failed("unavailable")
        return Finished([Made(lambda: self._made(handle))], usage(upstream.model_id))

    def _made(self, handle: Handle) -> bytes:
        with _ONE_AT_A_TIME:
            return self._craft.made(handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        """There is nothing to stop."""
