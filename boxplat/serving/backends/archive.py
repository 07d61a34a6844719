"""Exported programs (`torch.export.save`) read without executing anything that they hold.

`torch.export.load` unpickles example inputs and constants, evaluates the texts of symbolic sizes, compiles guards from
source, and takes any attribute below `torch` for an operator. So an archive is first reduced to what a model needs: raw
tensors and a graph of known operators. Whatever else it holds is left out, or refused where the model needs it.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError

_TEXTS = ("archive_format", "archive_version", "byteorder", "version", "serialization_id")
_RAW = re.compile(r"[^/]+/data/(?:weights|constants)/(?:weight|tensor)_\d+$")
_CONFIG = re.compile(r"[^/]+/data/(?:weights|constants)/[^/]+_config\.json$")
_PROGRAM = re.compile(r"[^/]+/models/[^/]+\.json$")
_EXAMPLES = re.compile(r"[^/]+/data/sample_inputs/[^/]+\.pt$")
_OPERATOR = re.compile(
    r"torch\.ops\.(?:aten|prims)\.(?!from_file\b)\w+\.\w+|_operator\.\w+|math\.\w+|torch\.sym_\w+"
    r"|torch\.ops\.higher_order\.(?:cond|while_loop|scan|wrap_with_set_grad_enabled|wrap_with_autocast)"
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


def read(path: Path) -> io.BytesIO:
    """The archive reduced to raw tensors and checked graphs, for `torch.export.load`.

    Raises:
        BoxError: it holds a pickle that the model needs, or a graph that could run other things than tensor operators.
    """
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
            for info in source.infolist():
                content = _record(path, info.filename, source)
                if content is not None:
                    target.writestr(info.filename, content)
    except zipfile.BadZipFile as error:
        raise refused(path, f"it is no archive of torch.export.save: {error}") from error
    out.seek(0)
    return out


def refused(path: Path, why: str) -> BoxError:
    """The error for a model file that is not loaded."""
    return BoxError(
        f"the model file {path.name} is not loaded",
        why=why,
        fix="save the model without pickle: mlflow.pytorch.log_model(model, serialization_format='pt2', "
        "input_example=…), or as ONNX, or as safetensors with the class named (see docs/backends.md)",
        log=path,
    )


def _record(path: Path, name: str, archive: zipfile.ZipFile) -> bytes | None:
    """What is kept of a record; None where nothing."""
    if _EXAMPLES.fullmatch(name):
        return b""
    if _CONFIG.fullmatch(name):
        return _config(path, name, archive.read(name))
    if _PROGRAM.fullmatch(name):
        return _program(path, archive.read(name))
    if _RAW.fullmatch(name) or name.rsplit("/", 1)[-1] in _TEXTS:
        return archive.read(name)
    if name.endswith((".pt", ".pkl", ".so")) or "/data/" in name:
        raise refused(path, f"its record {name} is read by unpickling it or by running its machine code")
    return None


def _config(path: Path, name: str, content: bytes) -> bytes:
    entries = _parsed(path, content).get("config", {})
    pickled = [key for key, entry in entries.items() if entry.get("use_pickle") is not False]
    if pickled:
        raise refused(path, f"{name} has {', '.join(pickled[:3])} read by unpickling")
    return content


def _program(path: Path, content: bytes) -> bytes:
    program = _parsed(path, content)
    _check(path, program)
    # Each is source text that would be compiled and run at every call.
    program["guards_code"] = []
    return json.dumps(program).encode()


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise refused(path, f"a record is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise refused(path, "a record is not a JSON object")
    return found


def _check(path: Path, root: Any) -> None:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            why = _objection(value)
            if why:
                raise refused(path, why)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _objection(value: dict[str, Any]) -> str | None:
    """What speaks against one object of the program's JSON."""
    text = value.get("expr_str")
    if text is not None and not _is_plain(text):
        return f"the size {str(text)[:80]!r} is more than arithmetic on symbols"
    if "target" in value and "inputs" in value and not _OPERATOR.fullmatch(str(value["target"])):
        return f"the graph calls {str(value['target'])[:80]!r}, which is no tensor operator of torch"
    for name in ("in_spec", "out_spec"):
        if isinstance(value.get(name), str) and value[name] and not _is_plain_tree(value[name]):
            return "its inputs or outputs are nested in other containers than tuples, lists and dicts"
    return None


def _is_plain_tree(text: str) -> bool:
    """Whether a structure of arguments names built-in containers only (torch imports what others name)."""
    try:
        waiting = list(json.loads(text)[1:])
        while waiting:
            node = waiting.pop()
            keys = json.loads(node["context"]) if node["context"] is not None else None
            if node["type"] not in _CONTAINERS or not (keys is None or all(isinstance(key, str | int) for key in keys)):
                return False
            waiting += node["children_spec"]
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    return True


def _is_plain(text: object) -> bool:
    """Whether a symbolic size is made of numbers, symbols and sympy's arithmetic alone (it is evaluated as Python)."""
    try:
        tree = ast.parse(str(text), mode="eval")
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            return False
        if isinstance(node, ast.Name) and node.id not in _SYMBOLS:
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _SYMBOL_NAME.fullmatch(node.value):
            return False
    return True
