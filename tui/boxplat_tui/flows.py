"""Which flows a project has, and the names of their parameters, without running any of their code."""

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


def parameter_names(path: Path) -> list[str]:
    """The names given to Metaflow's `Parameter(…)` in a flow; none where the file does not parse."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError):
        return []
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    names = []
    for call in calls:
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        first = call.args[0]
        if called == "Parameter" and isinstance(first, ast.Constant) and isinstance(first.value, str):
            names.append(first.value)
    return names
