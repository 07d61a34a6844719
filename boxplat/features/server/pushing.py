"""`/push` and `/write-to-online-store`: rows in, typed by the views' schemas, checked for all before any is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.catalog import Catalog, Source
from boxplat.features.rows.incoming import incoming
from boxplat.features.rows.layout import Layout
from boxplat.features.schema import View
from boxplat.features.server import offline, refusal
from boxplat.features.server.decoding import typed
from boxplat.features.server.forms import Form
from boxplat.features.server.metrics import Metrics
from boxplat.features.server.project import Project, Served
from boxplat.features.server.refusal import Refused
from boxplat.features.server.transforming import Feast

Columns = dict[str, list[Any]]
_ONLINE, _OFFLINE = ("online", "online_and_offline"), ("offline", "online_and_offline")


class Writer:
    """Writes to one project."""

    def __init__(self, project: Project, feast: Feast, metrics: Metrics) -> None:
        self._project = project
        self._feast = feast
        self._metrics = metrics

    async def push(self, form: Form) -> None:
        """Rows for every view of a push source: on the disk when this returns, and seen by the next read.

        Raises:
            Refused: no such source or target.
            BoxError: a column that is missing or does not fit; nothing is written.
        """
        source, to = form["push_source_name"], form["to"]
        if to not in (*_ONLINE, *_OFFLINE):
            known = "['online', 'offline', 'online_and_offline']"
            why = f"{to} is not a supported push format. Please specify one of these {known}."
            raise Refused(refusal.BAD_REQUEST, why)
        served = await self._project.newest()
        names = served.catalog.push_sources.get(source)
        if not names:
            message = f"Unable to find push source '{source}'."
            raise refusal.of_feast(refusal.UNPROCESSABLE, "PushSourceNotFoundException", message)
        columns = _columns(form["df"])
        if columns and len(next(iter(columns.values()))):
            await asyncio.to_thread(_written, self._project, served, names, columns, to)
        self._metrics.pushes[source, to] += 1

    async def write(self, form: Form) -> None:
        """Rows for one view.

        Raises:
            Refused: no such view.
            BoxError: a column that is missing or does not fit; nothing is written.
        """
        served = await self._project.newest()
        name = form["feature_view_name"]
        if name not in served.catalog.views:
            message = f"Can't recognize feast object with a name {name}"
            raise refusal.of_feast(refusal.NOT_FOUND, "FeastObjectNotFoundException", message)
        columns = _columns(form["df"])
        if not columns or not len(next(iter(columns.values()))):
            return
        if name in served.catalog.sources:
            await asyncio.to_thread(_written, self._project, served, (name,), columns, "online")
        else:
            await asyncio.to_thread(self._feast.write, name, columns, form["transform_on_write"])


def _written(project: Project, served: Served, names: Sequence[str], columns: Columns, to: str) -> None:
    batches = [_batch(served.catalog, name, columns) for name in names] if to in _ONLINE else []
    if len(batches) > 1 or to in _OFFLINE:
        for view, found, timestamp, created in batches:
            _check(view, found, timestamp, created)
    added = offline.append(project.repo, served.catalog, names, columns) if to in _OFFLINE else []
    try:
        for view, found, timestamp, created in batches:
            served.store.push(view.name, found, timestamp, created)
    except BaseException:
        for file in added:
            file.unlink(missing_ok=True)
        raise


def _columns(df: Mapping[str, Any]) -> Columns:
    """What `DataFrame.to_dict` gives, with lists or with mappings for columns.

    Raises:
        Refused: neither, or columns of different lengths.
    """
    columns: Columns = {}
    for name, values in df.items():
        found = list(values.values()) if isinstance(values, dict) else values
        if not isinstance(found, list):
            raise Refused(refusal.BAD_REQUEST, f"The column {name!r} is no list")
        columns[name] = found
    if len(set(map(len, columns.values()))) > 1:
        raise Refused(refusal.BAD_REQUEST, "All arrays must be of the same length")
    return columns


def _batch(catalog: Catalog, name: str, columns: Columns) -> tuple[View, Columns, str, str | None]:
    """A view, its columns in their types, and the names of the columns of times."""
    view, source = catalog.views[name], catalog.sources[name]
    named = {source.mapping.get(column, column): values for column, values in columns.items()}
    times = [_time_column(source, column, named) for column in (source.timestamp, source.created)]
    missing = [key for key in [times[0], *(field.name for field in (*view.keys, *view.fields))] if key not in named]
    if missing:
        raise _bad(name, f"no column {', '.join(missing)}; given: {', '.join(columns)}")
    try:
        found = {field.name: typed(field.name, named[field.name], field.type) for field in (*view.keys, *view.fields)}
        for time in filter(named.__contains__, times):
            found[time] = typed(time, named[time], "UNIX_TIMESTAMP")
    except ValueError as error:
        raise _bad(name, str(error)) from error
    return view, found, times[0], times[1] if times[1] in named else None


def _time_column(source: Source, column: str, named: Mapping[str, Any]) -> str:
    mapped = source.mapping.get(column, column)
    return mapped if mapped in named else column


def _check(view: View, columns: Columns, timestamp: str, created: str | None) -> None:
    """Raise BoxError for what `Store.push` would refuse."""
    keys = {key.name: columns[key.name] for key in view.keys} or {timestamp: columns[timestamp]}
    fields = ((field.name, columns[field.name]) for field in view.fields)
    times = columns[timestamp], columns[created] if created else None
    rows = incoming(Layout.of(view), view.name, keys, *times, fields)
    if len(rows) != len(columns[timestamp]):
        raise _bad(view.name, "a key is null")


def _bad(view: str, why: str) -> BoxError:
    fix = "give every key, every feature and the event time of the view, in their types"
    return BoxError(f"cannot push to {view}", why=why, fix=fix, code=ExitCode.USAGE)
