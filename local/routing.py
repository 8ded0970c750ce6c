"""Which route of the REST API takes a request, decided as API Gateway decides it. Pure.

Known from captures of the real service: a path is matched and handed on percent-encoded (`%2F` is not a separator);
slashes before the first segment count as one; a trailing slash is ignored for matching, kept in the event's path and
absent from the path parameters; letter case matters. A literal segment beats `{name}`, which beats `{name+}`, from
left to right. A resource that matches the path but not the method is not passed over for a less specific one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from local.template import Route

ANY_COVERS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_LITERAL: Final = 0
_VARIABLE: Final = 1
_GREEDY: Final = 2


@dataclass(frozen=True)
class Match:
    """A route, and the values of its path variables (percent-encoded, as API Gateway hands them on)."""

    route: Route
    path_parameters: Mapping[str, str]


class Router:
    """Finds the route of a request among those of the template."""

    def __init__(self, routes: Iterable[Route]) -> None:
        methods: dict[str, dict[str, Route]] = defaultdict(dict)
        for route in routes:
            methods[route.path][route.method] = route
        # Most specific first: literals sort before variables, variables before greedy ones, segment by segment.
        self._resources = [(_segments(path), by_method) for path, by_method in methods.items()]
        self._resources.sort(key=lambda resource: [_kind(segment) for segment in resource[0]])

    def match(self, method: str, path: str) -> Match | None:
        """The route for a method and a raw path that starts with a slash, or None when API Gateway has none."""
        segments = _segments(path)
        for template, by_method in self._resources:
            parameters = _bind(template, segments)
            if parameters is not None:
                route = by_method.get(method)
                if route is None and method in ANY_COVERS:
                    route = by_method.get("ANY")
                return None if route is None else Match(route, parameters)
        return None


def collapse_leading_slashes(path: str) -> str:
    """`//v1` as `/v1`; the rest of the path is left alone."""
    return "/" + path.lstrip("/")


def _segments(path: str) -> list[str]:
    inner = path.strip("/")
    return inner.split("/") if inner else []


def _kind(segment: str) -> int:
    if segment.startswith("{"):
        return _GREEDY if segment.endswith("+}") else _VARIABLE
    return _LITERAL


def _bind(template: list[str], segments: list[str]) -> dict[str, str] | None:
    """The path variables, or None when the path does not fit the template."""
    parameters = {}
    for index, expected in enumerate(template):
        if _kind(expected) == _GREEDY:
            rest = "/".join(segments[index:])
            if not rest:
                return None
            parameters[expected[1:-2]] = rest
            return parameters
        if index >= len(segments):
            return None
        actual = segments[index]
        if _kind(expected) == _VARIABLE:
            if not actual:
                return None
            parameters[expected[1:-1]] = actual
        elif actual != expected:
            return None
    return parameters if len(segments) == len(template) else None
