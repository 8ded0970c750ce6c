"""No float anywhere in aig.money: no literal, no name, no division that makes one."""

import ast
from pathlib import Path

import pytest

import aig.money

ROOM = Path(aig.money.__file__).parent
_FLOAT_MAKERS = {"float", "round", "math", "statistics", "random", "numpy", "fsum", "complex"}


def floats(source: str) -> list[str]:
    """Every place where a float could come from, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=float() | complex() as value):
                found.append(f"{node.lineno}: the literal {value}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append(f"{node.lineno}: true division")
            case ast.BinOp(op=ast.Pow(), right=ast.UnaryOp(op=ast.USub())):
                found.append(f"{node.lineno}: a negative power")
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _FLOAT_MAKERS:
                found.append(f"{node.lineno}: {name}")
            case ast.Import() | ast.ImportFrom():
                modules = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                found += [f"{node.lineno}: {name}" for name in sorted(filter(None, modules)) if name in _FLOAT_MAKERS]
    return found


@pytest.mark.parametrize("path", sorted(ROOM.rglob("*.py")), ids=lambda path: path.name)
def test_the_room_holds_no_float(path: Path) -> None:
    assert floats(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["x = 1.5", "x = 1e3", "x = float(y)", "x = a / b", "x /= b", "x = 10 ** -9", "from math import ceil", "round(x)"],
)
def test_the_check_sees_each_way_to_a_float(source: str) -> None:
    assert floats(source)


def test_the_check_lets_integers_pass() -> None:
    assert floats("x = -(-a // b) * 10**9 % 3") == []
