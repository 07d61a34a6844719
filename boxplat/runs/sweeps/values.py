"""Telling the values of a grid apart: `--param lr=1e-3,3e-4` is two values, `--param names=a\\,b` is one."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode

_COMMA = re.compile(r"(\\*),")


def split(text: str) -> list[str]:
    """The parts of a text between its commas; a backslash before a comma makes it part of the value.

    Two backslashes before a comma are a backslash that ends the value; any other backslash stays as it is.

    >>> split(r"a\\,b,c")
    ['a,b', 'c']
    """
    parts, begin, held = [], 0, ""
    for found in _COMMA.finditer(text):
        slashes = len(found[1])
        held += text[begin : found.start()] + "\\" * (slashes // 2)
        begin = found.end()
        if slashes % 2:
            held += ","
        else:
            parts.append(held)
            held = ""
    return [*parts, held + text[begin:]]


def join(values: Collection[str]) -> str:
    """The text that `split` takes apart into these values."""
    words = [re.sub(r"(\\*),", lambda found: found[1] * 2 + "\\,", value) for value in values]
    # Where a comma follows, the backslashes that end a value would belong to it.
    ended = [word + (re.search(r"\\*$", word) or [""])[0] for word in words[:-1]]
    return ",".join([*ended, *words[-1:]])


def whole(path: Path) -> frozenset[str]:
    """The parameters in a flow's file whose value is one, whatever commas are in it.

    Those with `type=JSONType`, and those with a `separator`, which Metaflow splits itself.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and _last(node.func) == "Parameter":
            said = {keyword.arg: keyword.value for keyword in node.keywords}
            name = node.args[0] if node.args else said.get("name")
            if isinstance(name, ast.Constant) and (_last(said.get("type")) == "JSONType" or "separator" in said):
                names.add(str(name.value))
    return frozenset(names)


def several(params: Mapping[str, str], one_value: Collection[str]) -> dict[str, list[str]]:
    """The values of every parameter.

    Args:
        one_value: parameters that are not to be split.

    Raises:
        BoxError: an empty value between commas, or the same one twice (exit code 2).
    """
    found = {name: [text] if name in one_value or _single(text) else split(text) for name, text in params.items()}
    for name, values in found.items():
        wrong = "an empty value" if len(values) > 1 and "" in values else ""
        wrong = wrong or ("the same value twice" if len(set(values)) < len(values) else "")
        if wrong:
            raise BoxError(
                f"--param {name}={params[name]} has {wrong}",
                why="commas part the values of a sweep",
                fix=f"a comma that belongs to the value: --param '{name}={join([params[name]])}'",
                code=ExitCode.USAGE,
            )
    return found


def _single(text: str) -> bool:
    """Whether the text is a JSON list or object, or names a file."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return isinstance(json.loads(text), list | dict)
        except (ValueError, RecursionError):
            return False
    return "," in text and os.path.isfile(text)


def _last(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
