"""What a columnar read gives: one column per name, with its states and ages. Knows nothing of Feast."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from boxplat.core.errors import BoxError, ExitCode, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from boxplat.features.online.request import Moment

_SECOND = 1e6


class Found(Protocol):
    """The rows of one view; `boxplat.features.rows.Rows` is one."""

    @property
    def event_us(self) -> np.ndarray[Any, Any]: ...
    def statuses(self, field: str) -> np.ndarray[Any, Any]: ...
    def numpy(self, field: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
    def arrow(self, field: str) -> pa.Array: ...
    def python(self, field: str) -> list[Any]: ...


class Answer:
    """N rows of features, in the order of the request; a column is decoded when it is asked for.

    Attributes:
        keys: [N] the columns of keys as they were given.
        names: the features, in the order of the service or of the references.
    """

    def __init__(
        self,
        keys: Mapping[str, Sequence[Any]],
        columns: Mapping[str, tuple[int, str]],
        found: Sequence[Found],
        labels: Sequence[str],
        now_us: Sequence[Moment | None],
    ) -> None:
        """`columns`: by name, the number of the view and the field; `found`, `labels` and `now_us`: of each view,
        the last one None for now."""
        self.keys = keys
        self.names = tuple(columns)
        self._columns = columns
        self._found = found
        self._labels = labels
        self._now_us = now_us
        self._read_us = time.time_ns() // 1000

    @property
    def views(self) -> dict[str, str]:
        """By feature, its view's name in the answer."""
        return {name: self._labels[view] for name, (view, _) in self._columns.items()}

    def numpy(self, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Values [N] and whether there is one, bool [N]; numbers in their own dtype, zero where there is none."""
        view, field = self._column(name)
        return self._found[view].numpy(field)

    def arrow(self, name: str) -> pa.Array:
        """Values [N] in their exact Arrow type, null where there is none."""
        view, field = self._column(name)
        return self._found[view].arrow(field)

    def python(self, name: str) -> list[Any]:
        """Values [N] as Python objects, None where there is none."""
        view, field = self._column(name)
        return self._found[view].python(field)

    def statuses(self, name: str) -> np.ndarray[Any, Any]:
        """uint8 [N]: 1 present, 2 null, 3 not found, 4 older than the view's life time (Feast's `FieldStatus`)."""
        view, field = self._column(name)
        return self._found[view].statuses(field)

    def event_us(self, name: str) -> np.ndarray[Any, Any]:
        """int64 [N]: event times in microseconds since the epoch, 0 where nothing is stored."""
        return self._found[self._column(name)[0]].event_us

    def age_seconds(self, name: str) -> np.ndarray[Any, Any]:
        """float64 [N]: seconds since the event, NaN where nothing is stored."""
        view, _ = self._column(name)
        events = self._found[view].event_us
        now = self._now_us[view]
        ages = ((self._read_us if now is None else now) - events) / _SECOND
        ages[events == 0] = np.nan
        return ages

    def to_arrow(self) -> pa.Table:
        """All features as one table of N rows."""
        import pyarrow as pa

        return pa.table({name: self.arrow(name) for name in self.names})

    def to_dict(self) -> dict[str, list[Any]]:
        """Keys and features as lists of Python objects, as Feast's `OnlineResponse.to_dict` gives them."""
        return {
            **{name: list(column) for name, column in self.keys.items()},
            **{name: self.python(name) for name in self.names},
        }

    def _column(self, name: str) -> tuple[int, str]:
        if name not in self._columns:
            raise BoxError(
                f"the answer has no feature {name!r}{nearest(name, self.names)}",
                why=f"its features are {', '.join(self.names)}",
                fix="take one of those names, or ask for the feature in read(…)",
                code=ExitCode.USAGE,
            )
        return self._columns[name]
