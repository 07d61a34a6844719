"""A resolved request: which views and fields it reads, by which columns of keys. Knows nothing of Feast."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from boxplat.features.online import keys
from boxplat.features.schema import View

if TYPE_CHECKING:
    import numpy as np

    from boxplat.features.rows import Rows, Store

# Microseconds since the epoch: one for all rows, or one for each, int64 [N].
Moment: TypeAlias = "int | np.ndarray[Any, np.dtype[np.int64]]"
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Part:
    """What a request reads of one view.

    Args:
        view: as the store keeps it.
        label: the view's name in results, its alias or version included.
        fields: in the order of the answer.
        keys: by the view's key, the column of the request that holds it.
    """

    view: View
    label: str
    fields: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]

    def names(self, full: bool) -> Iterator[tuple[str, str]]:
        """Of every field, its name in the answer and its own."""
        for name in self.fields:
            yield (f"{self.label}__{name}" if full else name), name


@dataclass(frozen=True)
class Plan:
    """All that one kind of request needs to be answered.

    Args:
        parts: one for each view.
        types: type of each key column that the views need, by its name in the request.
        echoed: columns that the answer gives back as they came.
        renamed: columns whose name is an entity's, by the join key that is meant.
        versions: names and current versions of the views, for answers that tell them.
        on_demand: reading is not all; Feast has to transform what was read.
    """

    parts: tuple[Part, ...]
    types: Mapping[str, str]
    echoed: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[tuple[str, int], ...] = ()
    on_demand: bool = False

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The views' names in the answer."""
        return tuple(part.label for part in self.parts)

    @cached_property
    def key_sets(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The different `keys` of the parts: each is looked up from keys that are encoded once."""
        return tuple(dict.fromkeys(part.keys for part in self.parts))

    @cached_property
    def reads(self) -> tuple[tuple[str, tuple[str, ...], int], ...]:
        """Of every part the view, the fields and the number of its key set."""
        return tuple((part.view.name, part.fields, self.key_sets.index(part.keys)) for part in self.parts)

    @cached_property
    def full_names(self) -> dict[str, tuple[int, str]]:
        """By `view__feature`, the number of the part and its field; in the order of the answer."""
        return {f"{part.label}__{name}": (at, name) for at, part in enumerate(self.parts) for name in part.fields}

    @cached_property
    def short_names(self) -> dict[str, tuple[int, str]]:
        """The same by the features' own names."""
        return {name: (at, name) for at, part in enumerate(self.parts) for name in part.fields}


def types_of(parts: Sequence[Part]) -> dict[str, str]:
    """Type of each key column of a request."""
    types = {}
    for part in parts:
        kinds = {key.name: key.type for key in part.view.keys}
        types.update({column: kinds[key] for key, column in part.keys})
    return types


def asked(plan: Plan, given: Columns, what: Callable[[], str]) -> dict[str, Sequence[Any]]:
    """The columns of keys among those of a request, checked, by the name of the key; other columns are left out.

    Args:
        what: names the request, for errors.

    Raises:
        BadKeys: a key is missing or has a value of another type.
    """
    found: dict[str, Sequence[Any]] = {}
    for name, column in given.items():
        key = name if name in plan.echoed else plan.renamed.get(name)
        if key is None:
            continue
        if key != name:
            warnings.warn("Using entity name is deprecated. Use join_key instead.", stacklevel=5)
        type_ = plan.types.get(key)
        found[key] = column if type_ is None else keys.checked(key, column, type_)
    if not plan.types.keys() <= found.keys():
        raise keys.missing(list(plan.types), list(given), what())
    return found


def lookup(
    store: Store, plan: Plan, columns: Columns, rows: int, now_us: Moment | None, clock: str
) -> tuple[list[Rows], list[Moment | None]]:
    """Each view's rows, in the order of the request, and the moments that their ages are measured at (None: now).

    Args:
        columns: [N] checked values by column of the request.
        rows: N.
        now_us: one such moment for all views, microseconds since the epoch; None: what `clock` says.
        clock: `wall` for now, `materialization` for the end of each view's last one.
    """
    fast = {name: keys.for_lookup(columns[name], type_) for name, type_ in plan.types.items()}
    # A view without keys has one row, which is everybody's.
    wanted = [store.asked({key: fast[name] for key, name in one} or {"": range(rows)}) for one in plan.key_sets]
    wall = time.time_ns() // 1000
    found: list[Rows] = []
    moments: list[Moment | None] = []
    for view, fields, number in plan.reads:
        at = now_us if now_us is not None or clock == "wall" else store.watermark_us(view)
        found.append(store.read(view, wanted[number], fields, wall if at is None else at))
        moments.append(at)
    return found, moments
