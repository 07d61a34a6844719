"""Pushed rows added to the files that the views are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.catalog import Catalog
from boxplat.features.database import Defaults
from boxplat.features.server.decoding import typed


@dataclass(frozen=True)
class FileSource:
    """As much of Feast's class of this name as appending needs."""

    name: str
    path: str


def append(repo: Path, catalog: Catalog, names: Sequence[str], columns: Mapping[str, list[Any]]) -> list[Path]:
    """Add rows to the source of each view; views over the same files share the rows.

    Returns:
        The new files.

    Raises:
        BoxError: the columns are not the source's, or a value does not fit; nothing is added.
    """
    import pyarrow as pa

    from boxplat.features.offline.append import append as add

    added: dict[str, Path] = {}
    try:
        for name in names:
            source = catalog.sources[name]
            if source.path and source.path not in added:
                kinds = _kinds(catalog, name)
                table = pa.table(
                    {
                        column: typed(column, found, kinds[column]) if column in kinds else found
                        for column, found in columns.items()
                    }
                )
                # DuckDB only looks at the files' columns here.
                limits = Defaults(threads=1)
                added[source.path] = add(_source(repo, name, source.path), table, repo, limits)
    except (ValueError, pa.ArrowException) as error:
        _remove(added)
        fix = "give the columns of the source, in their types"
        raise BoxError("cannot push to the offline store", why=str(error), fix=fix, code=ExitCode.USAGE) from error
    except BaseException:
        _remove(added)
        raise
    return list(added.values())


def _source(repo: Path, name: str, path: str) -> Any:
    if (repo / path / "_delta_log").is_dir():
        raise BoxError(
            f"cannot push to the source of {name}",
            why=f"{path} is a Delta table, which has its own way of adding rows",
            fix="push with to: online, and add the rows to the table by its own tools",
            code=ExitCode.USAGE,
        )
    return FileSource(name, path)


def _remove(added: Mapping[str, Path]) -> None:
    for file in added.values():
        file.unlink(missing_ok=True)


def _kinds(catalog: Catalog, name: str) -> dict[str, str]:
    """Feast type of the source's columns that are declared."""
    view, source = catalog.views[name], catalog.sources[name]
    back = {own: column for column, own in source.mapping.items()}
    kinds = {back.get(found.name, found.name): found.type for found in (*view.keys, *view.fields)}
    return kinds | dict.fromkeys(filter(None, (source.timestamp, source.created)), "UNIX_TIMESTAMP")
