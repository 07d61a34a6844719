"""`/get-online-features`: keys in, features out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from boxplat.features.online import request
from boxplat.features.online.request import Plan
from boxplat.features.rows.single import entity
from boxplat.features.server import encoding, refusal
from boxplat.features.server.columns import columns
from boxplat.features.server.forms import Form
from boxplat.features.server.metrics import Metrics
from boxplat.features.server.plans import Prepared
from boxplat.features.server.project import Project, Served
from boxplat.features.server.refusal import Refused
from boxplat.features.server.transforming import Feast

# Above this many values an answer takes so long that other requests must not wait for it.
_MANY = 20_000
_VERSIONS = "include_feature_view_version_metadata"


class Reader:
    """Answers reads of one project."""

    def __init__(self, project: Project, feast: Feast, metrics: Metrics) -> None:
        self._project = project
        self._feast = feast
        self._metrics = metrics

    async def answer(self, form: Form) -> bytes:
        """The answer's body.

        Raises:
            Refused: features that do not exist, or keys that do not fit.
            BoxError: keys that do not fit, or rows that cannot be read.
        """
        full = form["full_feature_names"]
        served, plan = await self._project.plan(form["feature_service"], form["features"], full)
        count = _count(form["entities"])
        self._metrics.entities.add(count)
        if served is None or plan.plan.on_demand:
            return await asyncio.to_thread(self._feast.read, form)
        if count * plan.width > _MANY:
            return await asyncio.to_thread(self._read, served, plan, form, count)
        return self._read(served, plan, form, count)

    def at_once(self, form: Form) -> bytes | None:
        """`answer` for a read that is quick and of what is known; None for any other."""
        known = self._project.known(form["feature_service"], form["features"], form["full_feature_names"])
        count = _count(form["entities"])
        if known is None or known[1].plan.on_demand or count * known[1].width > _MANY:
            return None
        answer = self._read(*known, form, count)
        self._metrics.entities.add(count)
        return answer

    def _read(self, served: Served, plan: Prepared, form: Form, count: int) -> bytes:
        asked = _asked(plan.plan, form)
        try:
            found, _ = request.lookup(served.store, plan.plan, asked, count, None, served.catalog.clock)
            encoded = [encoding.key(values) for values in asked.values()]
            counted: list[tuple[str, list[int]]] = []
            for part, types, encoders, rows in zip(plan.plan.parts, plan.types, plan.encoders, found, strict=True):
                if count == 1:
                    text, seen = encoding.alone(rows.times()[0], *entity(rows, 0), encoders)
                else:
                    text, seen = encoding.together(rows.times(), columns(rows, types, encoders))
                encoded += [text] if text else []
                counted.append((part.label, seen))
            names = f"{encoding.inner(asked)},{plan.names}" if asked else plan.names
            answer = encoding.body(encoded, names, plan.versions if form[_VERSIONS] else "")
        except UnicodeEncodeError as error:
            raise Refused(refusal.BAD_REQUEST, f"a key is no text: {error.reason}") from error
        for label, seen in counted:
            self._metrics.read(label, seen)
        return answer


def _count(entities: Mapping[str, Sequence[Any]]) -> int:
    """The number of rows asked for."""
    lengths = set(map(len, entities.values()))
    if len(lengths) > 1:
        raise Refused(refusal.BAD_REQUEST, "All entity rows must have the same columns.")
    count = lengths.pop() if lengths else 0
    if not count:
        raise Refused(refusal.BAD_REQUEST, "No entity keys given: at least one row is needed")
    return count


def _asked(plan: Plan, form: Form) -> dict[str, Sequence[Any]]:
    """The request's key columns by join key, checked; other columns are left out."""
    types = plan.types
    given = {
        name: _plain(values, types.get(plan.renamed.get(name, name), "")) for name, values in form["entities"].items()
    }
    return request.asked(plan, given, lambda: form["feature_service"] or ", ".join(form["features"]))


def _plain(values: list[Any], type_: str) -> list[Any]:
    """Numbers sent as text, as JavaScript does beyond 2^53, and texts sent as numbers: read as Feast does."""
    if type_ in ("INT32", "INT64"):
        return [_whole(value) if type(value) is str else value for value in values]
    if type_ == "STRING":
        return [str(value) if type(value) is int else value for value in values]
    return values


def _whole(text: str) -> int | str:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else text
