"""Rows 166 to 172: what an order for a video, music or a 3D model may not be, and where its webhook may not go."""

from typing import Any, Final

from tests.integration.bad_inputs.case import GONE, JOBS, B, Case, each
from tests.integration.bad_inputs.pictures import HOSTS

VIDEO, MUSIC, SOLID = JOBS


def _video(row: int, what: str, name: str, *values: Any) -> list[Case]:
    return each(row, what, B, name, *values, path=VIDEO)


ORDERS: Final = [
    *_video(166, "duration", "duration", 0, -5, 61, 1_000_000, "10", 1.5, True, [5]),
    *each(166, "seconds of music", B, "duration", 0, -5, 1_000_000, "10", 1.5, True, path=MUSIC),
    *_video(
        167, "aspect_ratio", "aspect_ratio", "16:0", "0:9", "a:b", "16/9", "", "16:9 ", "16:9\n", "-1:1", "100:1", 1.7
    ),
    *_video(168, "resolution", "resolution", "8k8", "8K", "720", "", "720p ", 720),
    *[
        case
        for path in JOBS
        for case in (
            *each(166, f"prompt of {path}", B, "prompt", GONE, None, "", " ", 7, ["a"], "a" * 10_001, path=path),
            *each(166, f"seed of {path}", B, "seed", -1, 2**32, "7", 1.5, path=path),
            *each(166, f"what is not ours in {path}", B, "base_url", "https://x.example", path=path),
            *each(166, f"what is not ours in {path}", B, "callback", "https://x.example", path=path),
        )
    ],
    *each(166, "format of music", B, "response_format", "exe", "", 7, path=MUSIC),
    *each(166, "lyrics", B, "lyrics", 7, "a" * 10_001, path=MUSIC),
]


def _to(row: int, what: str, *urls: Any) -> list[Case]:
    return [case for path in JOBS for case in each(row, f"{what} of {path}", B, "webhook_url", *urls, path=path)]


WEBHOOKS: Final = [
    *_to(
        169, "webhook_url", "http://hooks.example/a", "HTTP://hooks.example/a", "ftp://hooks.example/", "hooks.example"
    ),
    *_to(169, "webhook_url", "https://", "//hooks.example/", "hooks.example", "", 7, ["https://hooks.example/"]),
    *[case for hosts in HOSTS.values() for host in hosts for case in _to(170, "webhook_url", f"https://{host}")],
    *_to(
        170, "loopback that is not ours to reach", "http://127.0.0.1:8080/", "http://localhost/", "https://127.0.0.1/"
    ),
    *_to(171, "userinfo", "https://u:p@hooks.example/", "https://u@hooks.example/", "https://@hooks.example/"),
    *_to(171, "fragment", "https://hooks.example/#a", "https://hooks.example#"),
    *_to(171, "port", "https://hooks.example:25/", "https://hooks.example:0/", "https://hooks.example:99999/"),
    *_to(171, "length", "https://hooks.example/" + "a" * 2_048),
    *_to(171, "homograph", "https://hооks.example/", "https://exаmple.com/"),  # noqa: RUF001 (Cyrillic letters)
    *_to(171, "control characters", "https://hooks.example/\n", "https://hooks.example/ a", "https://hooks.example\0/"),
    *_to(
        172, "this gateway", "https://gateway/", "https://gateway:443/v1/jobs", "https://GATEWAY./", "https://gateway"
    ),
]
