"""Which files of a project are flows."""

from __future__ import annotations

import ast
from pathlib import Path

from boxplat.core.errors import BoxError


def flow_files(folder: Path) -> list[Path]:
    """The Python files directly in a folder that define a flow and run it when started.

    Raises:
        BoxError: a file cannot be parsed.
    """
    return [file for file in sorted(folder.glob("*.py")) if _defines_flow(file)]


def _defines_flow(file: Path) -> bool:
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        raise BoxError(
            f"cannot export {file.name}",
            why=f"line {error.lineno}: {error.msg}",
            fix=f"correct it, then: python {file} check",
        ) from error
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    started = any(isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) for node in tree.body)
    return started and any(_name(base) == "FlowSpec" for node in classes for base in node.bases)


def _name(base: ast.expr) -> str:
    return ast.unparse(base).rpartition(".")[2]
