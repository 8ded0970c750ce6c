"""The filter criteria of an event source mapping, as Lambda applies them. Pure.

Of its operators equality, `prefix`, `exists` and `anything-but` are known.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_OPERATORS: Final[Mapping[str, Callable[[object, Any], bool]]] = {
    "prefix": lambda value, operand: isinstance(value, str) and value.startswith(operand),
    "exists": lambda value, operand: (value is not None) is operand,
    "anything-but": lambda value, operand: (
        value is not None and value not in (operand if isinstance(operand, list) else [operand])
    ),
}


def check(patterns: Sequence[object]) -> None:
    """Raises ValueError for a pattern that cannot be applied here."""
    for pattern in patterns:
        if isinstance(pattern, Mapping):
            check(list(pattern.values()))
        elif isinstance(pattern, list):
            unknown = {name for allowed in pattern if isinstance(allowed, Mapping) for name in allowed} - set(
                _OPERATORS
            )
            if unknown:
                raise ValueError(f"a filter uses {', '.join(sorted(unknown))}, which is not known locally")
        else:
            raise ValueError(f"a filter has {pattern!r} where a list belongs")


def passes(record: Mapping[str, Any], patterns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a record matches one of the patterns, or there are none."""
    return not patterns or any(_matches(record, pattern) for pattern in patterns)


def _matches(value: object, pattern: Mapping[str, Any] | list[Any]) -> bool:
    if isinstance(pattern, list):
        return any(_is(value, allowed) for allowed in pattern)
    inside = value if isinstance(value, Mapping) else {}
    return all(_matches(inside.get(key), expected) for key, expected in pattern.items())


def _is(value: object, allowed: object) -> bool:
    if not isinstance(allowed, Mapping):
        return type(value) is type(allowed) and value == allowed
    ((operator, operand),) = allowed.items()
    return _OPERATORS[operator](value, operand)
