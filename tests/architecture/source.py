"""The project's Python as data: where it is, and what of it is code and not prose."""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOYED = ("functions", "layers", "shared")  # what runs on Lambda

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def files(*patterns: str) -> tuple[Path, ...]:
    """The project's files with names like these; nothing in hidden folders, where environments and caches are."""
    found = []
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [child for child in inside if not child.startswith(".") and child != "node_modules"]
        found += [Path(folder, file) for file in names if any(fnmatchcase(file, pattern) for pattern in patterns)]
    return tuple(sorted(found))


def python(*folders: str) -> tuple[Path, ...]:
    """The Python files of these folders, or of the whole project."""
    chosen = [ROOT / folder for folder in folders] or [ROOT]
    return tuple(path for path in files("*.py") if any(path.is_relative_to(folder) for folder in chosen))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@dataclass(frozen=True, slots=True)
class Token:
    """An identifier, or the text of a string that is not a docstring."""

    line: int
    text: str

    @property
    def words(self) -> set[str]:
        """Lower-case words: `ProviderKeyRefused` and `provider_key-refused` are the same three."""
        return {word.lower() for word in _WORD.findall(self.text)}


def _docstrings(module: ast.Module) -> set[int]:
    """The identities of the nodes that are docstrings."""
    return {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, _WITH_DOCSTRING) and node.body and isinstance(node.body[0], ast.Expr)
    }


def _texts(node: ast.AST) -> list[str | None]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.keyword(arg=text):
            return [text]
        case ast.ClassDef(name=text) | ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text):
            return [text]
        case ast.alias(name=text, asname=other):
            return [text, other]
        case ast.ImportFrom(module=text):
            return [text]
    return []


def tokens(path: Path) -> Iterator[Token]:
    """All that the code says, comments and docstrings left out."""
    docstrings = _docstrings(tree(path))
    for node in ast.walk(tree(path)):
        if id(node) not in docstrings:
            for text in _texts(node):
                if text:
                    yield Token(getattr(node, "lineno", 0), text)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that is imported, also inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
