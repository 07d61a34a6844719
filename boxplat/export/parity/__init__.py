"""The parity table: everything that a project declares, and where its export has it, found by reading the manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from boxplat.core.model import File
from boxplat.export.kustomize import Layer, file_name
from boxplat.export.model import Document, ExportInput
from boxplat.export.overlays import opted
from boxplat.export.parity import flows, secrets, services, settings
from boxplat.export.parity.model import Carried
from boxplat.export.parity.shelf import Shelf
from boxplat.export.runbook import secrets as declared_secrets

__all__ = ["TABLE", "Carried", "carried", "load", "parity_files"]

TABLE = "parity.json"
_REFERENCE = re.compile(r"\$\{([\w.-]+)\}")


def carried(
    inputs: ExportInput, documents: Mapping[str, Document], overlays: Iterable[File] = ()
) -> tuple[Carried, ...]:
    """A row for each declaration of the project.

    Args:
        documents: the manifests of the base and the components, by their path in the export.
        overlays: the files that environments are made of, and what they come to.
    """
    shelf = Shelf(documents)
    found = [
        *flows.rows(inputs, shelf),
        *services.rows(inputs, shelf),
        *secrets.rows(declared_secrets(inputs), shelf),
        *settings.rows(inputs, shelf, list(overlays)),
    ]
    chosen = {component for overlay in inputs.overlays.values() for component in opted(overlay)}
    told = (_left(replace(row, value=_placeless(row.value, str(inputs.root))), chosen) for row in found)
    return tuple(dict.fromkeys(told))


def _left(row: Carried, chosen: Collection[str]) -> Carried:
    """A row that says so where only a component has it that no environment has opted in to."""
    folder, _, rest = row.path.partition("/")
    component = rest.partition("/")[0]
    if folder != "components" or component in chosen:
        return row
    return replace(row, why_not=f'no environment opts in: [overlays.NAME] components = ["{component}"]')


def _placeless(value: str, root: str) -> str:
    """A declared value without what is of this machine: <project> for its folder, <name> for a reference."""
    value = value.replace(f"{root}/.box", "<box>").replace(root, "<project>")
    return _REFERENCE.sub(r"<\1>", value).replace("127.0.0.1", "<loopback>")


def parity_files(
    inputs: ExportInput,
    groups: Mapping[str, Iterable[Document]],
    components: Mapping[str, Layer],
    files: Iterable[File],
) -> list[File]:
    """The table for programs and for people.

    Args:
        groups: the documents of the base by folder.
        components: what an overlay may opt in to.
        files: the files of the export so far.
    """
    documents = {f"base/{folder}/{file_name(one)}": one for folder, listed in groups.items() for one in listed}
    for name, layer in components.items():
        documents |= {f"components/{name}/{file_name(one)}": one for one in layer.resources}
    rows = carried(inputs, documents, [file for file in files if file.path.startswith(("overlays/", "rendered/"))])
    content = {"schema_version": 1, "rows": [asdict(row) for row in rows]}
    return [File(TABLE, json.dumps(content, indent=1, ensure_ascii=False) + "\n"), File("PARITY.md", _page(rows))]


def load(content: bytes) -> tuple[Carried, ...]:
    """The rows of a `parity.json`.

    Raises:
        ValueError: it is none.
    """
    try:
        return tuple(Carried(**row) for row in json.loads(content)["rows"])
    except (LookupError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def _page(rows: Sequence[Carried]) -> str:
    there = [
        f"| {_cell(r.of)} | {_cell(r.what)} | {_cell(r.value)} | `{r.path}` | {_cell(r.found)} |"
        for r in rows
        if r.path
    ]
    left = [f"| {_cell(r.of)} | {_cell(r.what)} | {_cell(r.value)} | {_cell(r.why_not)} |" for r in rows if r.why_not]
    gaps = [f"- {r.of}: {r.what} ({r.value})" for r in rows if r.gap]
    lines = ["# What this project declares, and where it went", "", "Written by `box export kubernetes`.", ""]
    lines += ["## Carried", "", "| of | what | declared | where | there |", "|---|---|---|---|---|", *there, ""]
    lines += ["## Not carried, and why", "", "| of | what | declared | why |", "|---|---|---|---|", *left, ""]
    if gaps:
        lines += ["## Lost", "", *gaps, ""]
    return "\n".join(lines)


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
