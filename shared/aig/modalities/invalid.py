"""From pydantic's complaints about a body to the one error that a client is told."""

from typing import Any

from pydantic import ValidationError

from aig.errors import InvalidRequest


def _path(location: tuple[Any, ...], body: Any, *, missing: bool) -> list[Any]:
    """A pydantic location without the union tags in it, which a client has never heard of."""
    path: list[Any] = []
    node, tagged = body, None
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if not last and tagged is not node and _is_tag(node, part, location[position + 1]):
            tagged = node  # once: the field of the same name may follow
        elif (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int)):
            path.append(part)
            node = node[part]
        elif missing and isinstance(node, dict) and last:
            path.append(part)
    return path


def _is_tag(node: Any, part: Any, following: Any) -> bool:
    """Whether it says of what type the node is, though there is a field of that name: {"type": "text", "text": "t"}."""
    if not isinstance(node, dict) or node.get("type") != part:
        return False
    inside = node.get(part)
    return not isinstance(inside, dict | list) or (following in node and following not in inside)


def _said(problem: Any) -> str:
    """In words that are about the field, not about our checks."""
    if problem["type"] == "extra_forbidden":
        return "there is no such field here"
    said: str = problem["msg"].removeprefix("Value error, ")
    return said


def invalid_field(error: ValidationError, body: dict[str, Any]) -> InvalidRequest:
    """The one complaint of pydantic's that helps a client most, with the field's path."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    # Of a union's complaints the deepest, and of those the last, is about what the client most likely meant.
    path, problem = max(
        ((_path(p["loc"], body, missing=p["type"] == "missing"), p) for p in reversed(problems)),
        key=lambda pair: len(pair[0]),
    )
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    missing = problem["type"] in ("missing", "union_tag_not_found")
    return InvalidRequest(
        f"{param or 'body'}: {_said(problem)}. Correct this field and send the request again.",
        code="missing_required_parameter" if missing else "invalid_value",
        param=param or None,
    )
