"""House rules that a linter does not know: sizes, names, words."""

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.architecture.source import files, name, python, tree

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80
NO_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "shared_code", "util", "utils"}

# Written apart, or this file would be the first to break its rule.
_UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
_BANNER = re.compile(r"#\W*[-=*#~_+]{4,}\W*$|#.*[-=*#~_+]{4,}\s*$")
_TEXT = ("*.py", "*.toml", "*.yaml", "*.yml", "*.md", "*.sh", "Makefile")


def long_functions(module: ast.Module) -> list[str]:
    """Functions over the limit, as `name: lines`."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{node.name}: {lines}")
    return found


def banners(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith("#") and _BANNER.search(line)]


def vague(path: Path) -> set[str]:
    """The words in a path that say nothing of what is there."""
    parts = [*path.parts[:-1], path.stem]
    return {part for part in parts if {part, *part.split("_")} & NO_NAMES}


def offenders(check: Callable[[Path], object], among: Iterable[Path] = ()) -> dict[str, object]:
    """The files that a check finds something in, and what."""
    found = {name(path): check(path) for path in among or python()}
    return {path: what for path, what in found.items() if what}


def test_files_are_short() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in python()}
    assert {path: length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}
    assert lengths


def test_functions_are_short() -> None:
    assert offenders(lambda path: long_functions(tree(path))) == {}


def test_a_module_says_what_it_is_for() -> None:
    assert offenders(lambda path: ast.get_docstring(tree(path)) is None) == {}


def test_no_banners() -> None:
    assert offenders(lambda path: banners(path.read_text())) == {}


def test_names_say_something() -> None:
    assert offenders(lambda path: vague(Path(name(path)))) == {}


def test_nothing_is_left_for_later() -> None:
    assert offenders(lambda path: _UNFINISHED.findall(path.read_text()), files(*_TEXT)) == {}


class TestTheRules:
    """Each of them sees what it is there for."""

    def test_length(self) -> None:
        body = "\n".join(["    x = 1"] * MAX_FUNCTION_LINES)
        assert long_functions(ast.parse(f"def f():\n{body}")) == [f"f: {MAX_FUNCTION_LINES + 1}"]
        assert long_functions(ast.parse(f"async def f():\n{body}\n")) != []
        assert long_functions(ast.parse("def f():\n" + body.replace("    x = 1\n", "", 1))) == []

    @pytest.mark.parametrize("line", ["# ------", "# ==== Section ====", "    # ---- part ----", "##########", "#----"])
    def test_banners(self, line: str) -> None:
        assert banners(line)

    @pytest.mark.parametrize(
        "line", ["# why: a - b", "# https://example.com/a--b", "# noqa: S101", "x = '# ----'", "#"]
    )
    def test_plain_comments(self, line: str) -> None:
        assert not banners(line)

    @pytest.mark.parametrize("path", ["aig/utils.py", "aig/http_helpers.py", "common/money.py", "aig/manager.py"])
    def test_vague_names(self, path: str) -> None:
        assert vague(Path(path))

    def test_good_names(self) -> None:
        assert not vague(Path("shared/aig/money/units.py"))
