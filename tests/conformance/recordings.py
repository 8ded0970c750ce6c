"""Real answers of providers that speak OpenAI's chat wire, read from a folder beside the repository if it is there."""

import gzip
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "recordings"
SPECIFICATION = ROOT.parent / "shared" / "specs" / "openai" / "openapi.json"
ABSENT = f"there are no recordings at {FOLDER.relative_to(ROOT.parent)} beside the repository"


@dataclass(frozen=True)
class Exchange:
    """A request, where it was recorded, and the answer to it as bytes."""

    name: str
    status: int
    body: bytes
    streamed: bool
    request: dict[str, Any] | None = None

    @property
    def events(self) -> list[Any]:
        """The JSON of a stream's events, `[DONE]` left out."""
        texts = [line.removeprefix("data:").strip() for line in self.body.decode().splitlines() if line[:5] == "data:"]
        return [json.loads(text) for text in texts if text != "[DONE]"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@cache
def all_files() -> tuple[str, ...]:
    return tuple(
        sorted(
            path.relative_to(FOLDER).as_posix()
            for path in FOLDER.rglob("*")
            if path.is_file() and path.parent != FOLDER
        )
    )


def matching(*patterns: str) -> list[str]:
    return [file for file in all_files() if any(fnmatchcase(file, pattern) for pattern in patterns)]


@cache
def all_exchanges() -> tuple[str, ...]:
    """The names of all exchanges: a cassette has many, whatever they are of; any other file is one."""
    names: list[str] = []
    for file in all_files():
        if file.endswith(".yaml"):
            cassette = yaml.load((FOLDER / file).read_text(), yaml.CSafeLoader)
            names += [f"{file}#{number}" for number in range(len(cassette["interactions"]))]
        else:
            names.append(file)
    return tuple(names)


def exchanges_matching(*patterns: str) -> list[str]:
    """Those whose file, or whose own name, matches."""
    return [
        name
        for name in all_exchanges()
        if any(fnmatchcase(name, pattern) or fnmatchcase(name.partition("#")[0], pattern) for pattern in patterns)
    ]


@cache
def load(file: str, path_part: str = "/chat/completions", *, done: bool = True) -> tuple[Exchange, ...]:
    """The exchanges in a file, in any of the three forms that the projects keep them in.

    Of a cassette those whose path holds `path_part`. `done`: streams of this wire end with `[DONE]`.
    """
    path = FOLDER / file
    if file.endswith(".yaml"):
        return _cassette(file, yaml.load(path.read_text(), yaml.CSafeLoader), path_part)
    if file.endswith(".chunks.txt"):  # events without their framing
        events = [f"data: {line}\n\n" for line in path.read_text().splitlines() if line]
        return (
            Exchange(file, 200, "".join([*events, "data: [DONE]\n\n"] if done else events).encode(), streamed=True),
        )
    if file.endswith(".sse"):
        return (Exchange(file, 200, path.read_bytes() + b"\n\n", streamed=True),)
    # Bodies alone: the status is the one that the provider documents for the error.
    error = json.loads(path.read_text()).get("error")
    status = 200 if error is None else error.get("code") if isinstance(error.get("code"), int) else 400
    if error is not None and error.get("type") == "insufficient_quota":
        status = 429
    return (Exchange(file, status, path.read_bytes(), streamed=False),)


def _cassette(file: str, cassette: dict[str, Any], path_part: str) -> tuple[Exchange, ...]:
    exchanges = []
    for number, interaction in enumerate(cassette["interactions"]):
        request, response = interaction.get("request", {}), interaction.get("response", {})
        if path_part not in request.get("uri", ""):
            continue
        sent = request.get("parsed_body") or json.loads(request["body"])
        uri = request["uri"]
        exchanges.append(
            Exchange(
                f"{file}#{number}",
                response["status"]["code"],
                _body(response),
                streamed=bool(sent.get("stream")) or ":stream" in uri or uri.endswith("/converse-stream"),
                request=sent,
            )
        )
    return tuple(exchanges)


def _body(response: dict[str, Any]) -> bytes:
    if "parsed_body" in response:
        return json.dumps(response["parsed_body"]).encode()
    raw = response["body"]["string"]
    data: bytes = raw.encode() if isinstance(raw, str) else raw
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
