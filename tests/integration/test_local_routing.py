"""Which route of a REST API takes a path."""

import pytest

from local.routing import Router, collapse_leading_slashes
from local.template import Route


def route(path: str, method: str = "ANY") -> Route:
    return Route(method=method, path=path, function="F", streaming=False, timeout=29)


ROUTER = Router(
    [
        route("/{proxy+}"),
        route("/"),
        route("/v1/models"),
        route("/v1/models/{proxy+}"),
        route("/v1/jobs/{id}"),
        route("/v1/jobs/latest"),
        route("/v1/jobs/{id}/files/{name+}"),
        route("/v1/only", "POST"),
    ]
)


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/", "/", {}),
        ("/v1/models", "/v1/models", {}),
        # A trailing slash does not count for the match, nor do slashes before the first segment.
        ("/v1/models/", "/v1/models", {}),
        ("//v1/models", "/v1/models", {}),
        ("/v1/models/a/b", "/v1/models/{proxy+}", {"proxy": "a/b"}),
        ("/v1/models/a/b/", "/v1/models/{proxy+}", {"proxy": "a/b"}),
        ("/v1/models/a%2Fb", "/v1/models/{proxy+}", {"proxy": "a%2Fb"}),
        ("/v1/models//a", "/v1/models/{proxy+}", {"proxy": "/a"}),
        # Literal before {name} before {name+}.
        ("/v1/jobs/latest", "/v1/jobs/latest", {}),
        ("/v1/jobs/7", "/v1/jobs/{id}", {"id": "7"}),
        ("/v1/jobs/7/files/a/b.png", "/v1/jobs/{id}/files/{name+}", {"id": "7", "name": "a/b.png"}),
        ("/v1/jobs/7/other", "/{proxy+}", {"proxy": "v1/jobs/7/other"}),
        # Nothing that is not quite a route gets that route.
        ("/V1/models", "/{proxy+}", {"proxy": "V1/models"}),
        ("/v1//models", "/{proxy+}", {"proxy": "v1//models"}),
        ("/v1%2Fmodels", "/{proxy+}", {"proxy": "v1%2Fmodels"}),
        ("/v1/models%2F", "/{proxy+}", {"proxy": "v1/models%2F"}),
        ("/v1/./models", "/{proxy+}", {"proxy": "v1/./models"}),
        ("/v1/../v1/models", "/{proxy+}", {"proxy": "v1/../v1/models"}),
    ],
)
def test_precedence(path: str, resource: str, parameters: dict[str, str]) -> None:
    match = ROUTER.match("GET", path)
    assert match is not None
    assert (match.route.path, match.path_parameters) == (resource, parameters)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get"])
def test_any_covers_seven_methods_only(method: str) -> None:
    assert ROUTER.match(method, "/v1/models") is None


@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
def test_any_covers_these(method: str) -> None:
    assert ROUTER.match(method, "/v1/models") is not None


def test_a_resource_without_the_method_is_not_passed_over() -> None:
    assert ROUTER.match("POST", "/v1/only") is not None
    assert ROUTER.match("GET", "/v1/only") is None


def test_without_a_catch_all_nothing_matches() -> None:
    router = Router([route("/a")])
    assert router.match("GET", "/b") is None
    assert router.match("GET", "/") is None
    assert router.match("GET", "/a/b") is None


def test_only_leading_slashes_collapse() -> None:
    assert collapse_leading_slashes("///a//b/") == "/a//b/"
