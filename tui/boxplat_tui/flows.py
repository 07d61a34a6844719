"""Which flows a project has, what they say they do, and their parameters, without running any of their code."""

from __future__ import annotations

import ast
from pathlib import Path


def flow_files(root: Path) -> list[str]:
    """The flows under `flows/`, relative to the project, in order."""
    files = sorted((root / "flows").glob("*.py"))
    flows = [path for path in files if "FlowSpec" in path.read_text(encoding="utf-8", errors="replace")]
    return [path.relative_to(root).as_posix() for path in flows]


def first_flow(root: Path) -> str:
    """The flow to begin with: the one that brings the data in, else any."""
    found = flow_files(root)
    return "flows/ingest.py" if "flows/ingest.py" in found or not found else found[0]


def parameters(path: Path) -> dict[str, str]:
    """The names given to Metaflow's `Parameter(…)` in a flow, with the defaults that are written out there."""
    calls = (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call) and node.args)
    found = {}
    for call in calls:
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        first = call.args[0]
        if called == "Parameter" and isinstance(first, ast.Constant) and isinstance(first.value, str):
            default = next((word.value for word in call.keywords if word.arg == "default"), None)
            written = isinstance(default, ast.Constant) and default.value is not None
            found[first.value] = ast.unparse(default).strip("'") if default is not None and written else ""
    return found


def purpose(path: Path) -> str:
    """The first line of what a flow's file says about itself; nothing where it says nothing or does not parse."""
    return (ast.get_docstring(_tree(path)) or "").partition("\n")[0]


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])
