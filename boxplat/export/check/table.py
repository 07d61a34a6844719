"""The parity table held against its export: no row without a place or a reason, no decorator without a row."""

from __future__ import annotations

import ast
import io
import tarfile
from collections.abc import Iterator, Mapping

from boxplat.export.check.folder import Folder
from boxplat.export.check.model import Fault
from boxplat.export.parity import TABLE, Carried, load
from boxplat.export.parity.shelf import shown
from boxplat.export.pointers import mapping, resolve, text

ABOUT = {
    "parity-missing": "An export has a parity table",
    "parity-gap": "Whatever a project declares is in the export, or the table says why not",
    "parity-path": "What the table says is carried is where it says",
    "parity-changed": "What the table says is carried is as it says",
    "parity-silent": "Every decorator in the code of the exported flows has a row in the table",
}
# Rows of these have other names than the decorator; `step` is every step's.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "retry": ("retry times",),
    "timeout": ("time-out",),
    "resources": ("resources",),
    "environment": ("variable",),
    "schedule": ("schedule",),
    "vram": ("vram",),
}
_SILENT = frozenset({"step"})


def read(folder: Folder) -> tuple[tuple[Carried, ...], list[Fault]]:
    """The rows of an export's table, and what is wrong with them."""
    if TABLE not in folder.files:
        return (), [Fault("parity-missing", TABLE, "", "there is none")]
    try:
        rows = load(folder.files[TABLE])
    except ValueError as error:
        return (), [Fault("parity-missing", TABLE, "", f"it cannot be read: {error}")]
    return rows, [*(fault for row in rows for fault in _row(folder, row)), *_silent(folder, rows)]


def _row(folder: Folder, row: Carried) -> Iterator[Fault]:
    of = f"{row.of}: {row.what}"
    if row.gap:
        yield Fault("parity-gap", TABLE, "", f"{of} ({row.value}) is lost")
    if not row.path:
        return
    path, _, pointer = row.path.partition("#")
    if path not in folder.files:
        yield Fault("parity-path", TABLE, "", f"{of}: no file {path}")
        return
    if not pointer:
        return
    try:
        there = resolve(folder.documents.get(path, [None])[0], pointer)
    except (LookupError, IndexError):
        yield Fault("parity-path", TABLE, "", f"{of}: nothing at {row.path}")
        return
    if shown(there) != row.found:
        yield Fault("parity-changed", TABLE, "", f"{of}: {shown(there)} at {row.path}, not {row.found}")


def _silent(folder: Folder, rows: tuple[Carried, ...]) -> Iterator[Fault]:
    told: dict[str, list[str]] = {}
    for row in rows:
        told.setdefault(row.of, []).append(row.what)
    for file, entry in mapping(folder.lock, "inputs", "flows").items():
        flow = text(entry, "flow")
        source = _source(folder, flow, file)
        for of, name in _decorators(source, flow) if source else ():
            there = told.get(of, [])
            wanted = _NAMES.get(name, (name,))
            if not any(what.startswith(wanted) for what in there):
                yield Fault("parity-silent", TABLE, "", f"{of}: @{name} of {file} has no row")


def _source(folder: Folder, flow: str, file: str) -> str:
    """The flow's file in the package that its pods download."""
    for path in sorted(folder.files):
        if not path.startswith(f"code/{flow}/"):
            continue
        try:
            with tarfile.open(fileobj=io.BytesIO(folder.files[path])) as archive:
                member = archive.extractfile(file)
                return member.read().decode() if member is not None else ""
        except (tarfile.TarError, KeyError, OSError, UnicodeDecodeError):
            continue
    return ""


def _decorators(source: str, flow: str) -> Iterator[tuple[str, str]]:
    """Whose a decorator is, and its name, as written in the class of the flow."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or node.name != flow:
            continue
        yield from ((flow, name) for name in _names(node.decorator_list))
        for step in node.body:
            if isinstance(step, ast.FunctionDef):
                yield from ((f"{flow}/{step.name}", name) for name in _names(step.decorator_list))


def _names(decorators: list[ast.expr]) -> Iterator[str]:
    for one in decorators:
        call = one.func if isinstance(one, ast.Call) else one
        empty = isinstance(one, ast.Call) and not one.args and not one.keywords
        name = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
        # Without a word of its own it declares no resources, variables or times.
        if name and name not in _SILENT and not (empty and name in ("resources", "environment", "schedule")):
            yield name
