"""Which packages some source files import, by reading them."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from boxplat.core.errors import BoxError

_BY_NAME = ("find_spec", "import_module")


def distributions(folders: Iterable[Path]) -> list[str]:
    """The installed distributions whose modules the Python files of some folders import, anywhere in them.

    Modules of the folders themselves, of boxplat and of the standard library are none; nor is one that is not
    installed, since the files ran without it.

    Raises:
        BoxError: a file is no Python.
    """
    found = {file: file.relative_to(folder) for folder in folders for file in sorted(folder.rglob("*.py"))}
    files = {file: place for file, place in found.items() if not _hidden(place)}
    own = {part for place in files.values() for part in (place.stem, *place.parts[:-1])}
    names = {name for file in files for name in _modules(file)}
    homes = _homes()
    foreign = names - own - sys.stdlib_module_names - {"boxplat"}
    return sorted({home for name in foreign for home in homes.get(name, ())})


@cache
def _homes() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _hidden(place: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in place.parts)


def _modules(file: Path) -> Iterator[str]:
    """Top-level names of what a file imports, also where it names them in a text to Python's import functions."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        raise BoxError(
            f"cannot tell what {file.name} imports",
            why=str(error),
            fix=f"correct it: python -m py_compile {file}",
        ) from error
    for node in ast.walk(tree):
        for name in _named(node):
            yield name.partition(".")[0]


def _named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _BY_NAME and node.args:
        first = node.args[0]
        return [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
    return []
