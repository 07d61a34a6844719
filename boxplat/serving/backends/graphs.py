"""What the graph of an exported program may hold, so that torch makes no other code of it than calls of operators.

torch takes any attribute below `torch` for an operator, evaluates the texts of symbolic sizes, imports the containers
that arguments are nested in, and writes names into the Python source that it compiles (torch/fx/graph.py), unquoted.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

_OPERATOR = re.compile(
    # The two that are given the path of a file, which they read or write.
    r"torch\.ops\.(?:aten|prims)\.(?!(?:from_file|save)\b)\w+\.(?!__)\w+"
    # torch.export's verifier has the same list.
    r"|_operator\.(?:getitem|add|mul|sub|truediv|ge|le|gt|lt|eq|ne|floordiv|mod|and_|or_|not_|pow|neg|pos|abs"
    r"|lshift|rshift)"
    r"|math\.(?:ceil|floor|trunc)|torch\.sym_(?:not|int|float|ite|max|min|sqrt)"
    r"|torch\.ops\.higher_order\.(?:cond|while_loop|scan|wrap_with_set_grad_enabled|wrap_with_autocast)",
    re.ASCII,
)
_SYMBOLS = frozenset(
    "Symbol Integer Float Rational Add Mul Pow Max Min Abs Mod Equality Unequality LessThan GreaterThan"
    " StrictLessThan StrictGreaterThan And Or Not FloorDiv ModularIndexing Where PythonMod CleanDiv CeilDiv CeilToInt"
    " FloorToInt TruncToInt RoundToInt RoundDecimal LShift RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv"
    " TruncToFloat ToFloat Identity BitwiseFn_bitwise_and BitwiseFn_bitwise_or".split()
)
_NODES = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub)
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_SYMBOL_NAME = re.compile(r"\w{1,64}|[\d.eE+-]{1,64}")
_PATH = re.compile(r"[\w./+ -]*")
"""Of a parameter or module, whose parts torch puts between quotes."""
_RANGE = re.compile(r"[\w.+* -]*")
_IDENTIFIERS = ("name", "as_name", "user_input_name", "forward_arg_names")
"""Fields that torch writes into source as they are."""
_CHECKED = ("expr_str", "target", "in_spec", "out_spec")
_QUOTED = ("as_string", "as_strings")


def strip(program: dict[str, Any]) -> None:
    """Leave out what no model needs to answer: guards, which are source text, and notes on where nodes come from."""
    program["guards_code"] = []
    for value in _objects(program):
        if "metadata" in value:
            value["metadata"] = {}
        if "treespec_namedtuple_fields" in value:
            value["treespec_namedtuple_fields"] = {}


def objection(program: dict[str, Any]) -> str | None:
    """Why a program, as parsed from its JSON, could run other things than tensor operators; None where it cannot."""
    # Sizes that are derived from others have their formula for a key.
    ranges = program.get("range_constraints")
    rest = {key: value for key, value in program.items() if key != "range_constraints"}
    if isinstance(ranges, dict) and not all(map(_RANGE.fullmatch, ranges)):
        return "a range of its sizes has a name that is none"
    return next((why for value in _objects(rest) if (why := _of_object(value))), None)


def _objects(root: Any) -> Iterator[dict[str, Any]]:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _of_object(value: dict[str, Any]) -> str | None:
    """What speaks against one object, those nested in it aside."""
    if "as_operator" in value:
        return f"the graph passes {str(value['as_operator'])[:80]!r} on, which it could call"
    for key, part in value.items():
        if not _is_identifier(key):
            return f"the name {key[:80]!r} is none, and torch writes it into source"
        why = _of_checked(key, part) if key in _CHECKED else _of_text(key, part)
        if why:
            return why
    return None


def _of_checked(key: str, part: Any) -> str | None:
    """What speaks against a field that is evaluated, called or imported; a tensor may have the same name."""
    text = str(part)
    if key == "expr_str":
        # sympy evaluates the texts in a dict or a list, too.
        return (
            None
            if isinstance(part, str) and _is_plain(text)
            else f"the size {text[:80]!r} is more than arithmetic on symbols"
        )
    if isinstance(part, dict) or part in (None, ""):
        return None
    if key == "target":
        known = _OPERATOR.fullmatch(text)
        return None if known else f"the graph calls {text[:80]!r}, which is no tensor operator of torch"
    return None if _is_plain_tree(text) else "its inputs or outputs are nested in other than tuples, lists and dicts"


def _of_text(key: str, part: Any) -> str | None:
    if key in _QUOTED:
        return None
    fits = _is_identifier if key in _IDENTIFIERS else _PATH.fullmatch
    strange = [text for text in _texts(part) if not fits(text)]
    return f"the {key} {strange[0][:80]!r} is no name, and torch could write it into source" if strange else None


def _texts(part: Any) -> Iterator[str]:
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting += one


def _is_identifier(text: str) -> bool:
    return not text or text.isidentifier()


def _is_plain_tree(text: str) -> bool:
    """Whether a structure of arguments names built-in containers only (torch imports what others name)."""
    try:
        root = json.loads(text)[1]
        # Keyword arguments are the second part of what is passed to `forward`.
        named = root["children_spec"][1:] if root["type"] == "builtins.tuple" else []
        if not all(_is_identifier(key) for node in named for key in _keys(node) if isinstance(key, str)):
            return False
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node["type"] not in _CONTAINERS or not all(map(_is_key, _keys(node))):
                return False
            waiting += node["children_spec"]
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    return True


def _keys(node: dict[str, Any]) -> list[Any]:
    return (json.loads(node["context"]) if node["context"] is not None else None) or []


def _is_key(key: object) -> bool:
    return isinstance(key, int) or (isinstance(key, str) and _PATH.fullmatch(key) is not None)


def _is_plain(text: str) -> bool:
    """Whether a symbolic size is made of numbers, symbols and sympy's arithmetic alone (it is evaluated as Python)."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            return False
        if isinstance(node, ast.Name) and node.id not in _SYMBOLS:
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _SYMBOL_NAME.fullmatch(node.value):
            return False
    return True
