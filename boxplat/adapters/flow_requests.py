"""What a flow's steps ask of the machine, as far as its source says it in plain values."""

from __future__ import annotations

import ast
from collections.abc import Mapping

RESOURCES = "resources"
VRAM = "vram"
_KEYS = ("cpu", "memory", "gpu")


def asked(step: ast.FunctionDef) -> Mapping[str, object]:
    """The `cpu`, `memory` and `gpu` of a step's `@resources` and the `vram` of its `@vram`.

    Only what is written there and is a literal: what a name or a call stands for is known in the task.
    """
    found: dict[str, object] = {}
    for decorator in step.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        name = _name(decorator.func)
        if name == RESOURCES:
            named = {str(word.arg): word.value for word in decorator.keywords if word.arg in _KEYS}
        elif name == VRAM:
            values = [*decorator.args[:1], *(word.value for word in decorator.keywords if word.arg == "memory")]
            named = dict(zip([VRAM], values, strict=False))
        else:
            continue
        found |= {key: value.value for key, value in named.items() if isinstance(value, ast.Constant)}
    return {key: value for key, value in found.items() if value is not None}


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
