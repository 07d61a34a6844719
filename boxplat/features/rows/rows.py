"""The answer to a read: N rows as columns, decoded only when asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from boxplat.core.errors import BoxError, not_found
from boxplat.features.rows import heap, nested
from boxplat.features.rows.layout import Layout, Records, not_older

PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE = 1, 2, 3, 4
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
States = np.ndarray[tuple[int], np.dtype[np.uint8]]
# The earliest event time, in microseconds, that is not outside its maximal age: for all rows, or int64 [N].
Limit: TypeAlias = "int | np.ndarray[tuple[int], np.dtype[np.int64]] | None"
_STATES = np.array([[NOT_FOUND, NOT_FOUND], [OUTSIDE_MAX_AGE, PRESENT]], np.uint8)


class Rows:
    """N entities, in the order in which they were asked for.

    Attributes:
        view: the name of the view.
        fields: the names of the fields asked for, in that order.
        layout: of its records.
    """

    def __init__(
        self,
        view: str,
        layout: Layout,
        fields: tuple[str, ...],
        records: Records,
        found: Mask,
        heaps: tuple[heap.Bytes, ...],
        which: np.ndarray[tuple[int], np.dtype[np.uint16]] | None,
        oldest_us: Limit,
    ) -> None:
        """`records[i]` counts only where `found[i]`; its values are in `heaps[which[i]]`; rows with an event before
        `oldest_us` are outside their maximal age."""
        self.view = view
        self.fields = fields
        self.layout = layout
        self._records = records
        self._found = found
        self._heaps = heaps
        self._which = which
        self._present: Mask = found if oldest_us is None else found & (records["event"] >= oldest_us)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def status(self) -> States:
        """uint8 [N]: PRESENT, NOT_FOUND or OUTSIDE_MAX_AGE, Feast's numbers, of the row as a whole."""
        return self._status.copy()

    @property
    def event_us(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """int64 [N]: event times in microseconds since the epoch, 0 where not found; given for expired rows too."""
        return np.where(self._found, self._records["event"], 0)

    def times(self) -> list[int]:
        """`event_us` as Python numbers."""
        return list(self.event_us.tolist())

    def statuses(self, field: str) -> States:
        """uint8 [N]: the status of each value of one field: as `status`, or NULL_VALUE."""
        status = self.status
        valid = self._valid(self._at(field))
        if valid is not self._present:
            status[self._present & ~valid] = NULL_VALUE
        return status

    def numpy(self, field: str) -> tuple[np.ndarray[tuple[int], np.dtype[Any]], Mask]:
        """The values [N] and bool [N]: which of them are valid; the others are zero.

        Numbers come in their own dtype, UNIX_TIMESTAMP as datetime64[us]; every other type as an object array of what
        `python` gives.

        Raises:
            BoxError: the read did not ask for such a field.
        """
        at = self._at(field)
        kind = self.layout.kinds[at]
        if kind.family == "fixed":
            numbers = self._numbers(at)
            return (numbers.view("datetime64[us]") if kind.element == "UNIX_TIMESTAMP" else numbers), self._valid(at)
        out = np.empty(len(self), object)
        out[:] = self.python(field)
        return out, self._valid(at)

    def arrow(self, field: str) -> pa.Array:
        """The values as an Arrow array of length N, null where `statuses` is not PRESENT.

        The types are Feast's own (UUID, DECIMAL as string, JSON as large_string, UNIX_TIMESTAMP in microseconds UTC);
        nested values get the type that Arrow infers from them.

        Raises:
            BoxError: the read did not ask for such a field.
        """
        at = self._at(field)
        kind = self.layout.kinds[at]
        if kind.family == "fixed":
            valid, numbers = self._valid(at), self._numbers(at)
            body = np.packbits(numbers, bitorder="little") if kind.element == "BOOL" else numbers
            return pa.Array.from_buffers(kind.arrow, len(self), [_bitmap(valid), pa.py_buffer(body)])
        if kind.family in ("text", "binary"):
            return self._bytes(at).cast(kind.arrow)
        return nested.arrow_items(kind, self.python(field))

    def python(self, field: str) -> list[Any]:
        """What Feast's `to_dict` gives for the field: N Python values, None where null, not found or expired.

        Raises:
            BoxError: the read did not ask for such a field.
        """
        at = self._at(field)
        kind, valid = self.layout.kinds[at], self._valid(at)
        if kind.family in ("text", "binary"):
            return nested.listed(kind, self._bytes(at))
        if kind.family != "fixed":
            return [None if raw is None else nested.unpack_item(kind, raw) for raw in self._bytes(at).to_pylist()]
        items = self._records[str(at)].tolist()
        if not valid.all():
            items = [item if ok else None for item, ok in zip(items, valid.tolist(), strict=True)]
        return nested.moments(items) if kind.element == "UNIX_TIMESTAMP" else items

    def row(self, number: int) -> tuple[int, tuple[Any, ...], heap.Bytes]:
        """One row as it is stored: its status, a tuple of `Layout.packed` (empty unless PRESENT), and its heap."""
        if not self._present[number]:
            return (OUTSIDE_MAX_AGE if self._found[number] else NOT_FOUND), (), self._heaps[0]
        home = self._heaps[0 if self._which is None else self._which[number]]
        return PRESENT, self.layout.packed.unpack(self._records[number].tobytes()), home

    def not_newer_than(self, records: Records) -> Mask:
        """bool [N]: where a new record may take the place of this row."""
        return ~self._found | not_older(records, self._records)

    def _at(self, field: str) -> int:
        if field not in self.fields:
            raise unknown_field(field, self.fields)
        return self.layout.position[field]

    @cached_property
    def _status(self) -> States:
        return _STATES[self._found.view(np.uint8), self._present.view(np.uint8)]

    @cached_property
    def _nulls(self) -> list[int]:
        """The null bits that some row has, by byte."""
        bits: list[int] = np.bitwise_or.reduce(self._records["nulls"], axis=0).tolist()
        return bits

    def _valid(self, at: int) -> Mask:
        """Where the field has a value; `_present` itself when no row has a null there."""
        bit = 1 << (at & 7)
        if not self._nulls[at >> 3] & bit:
            return self._present
        valid: Mask = self._present & ((self._records["nulls"][:, at >> 3] & np.uint8(bit)) == 0)
        return valid

    def _numbers(self, at: int) -> np.ndarray[tuple[int], np.dtype[Any]]:
        """The numbers of a field of fixed width, zero where there is none."""
        numbers: np.ndarray[tuple[int], np.dtype[Any]] = self._records[str(at)].copy()
        valid = self._valid(at)
        if not valid.all():
            numbers[~valid] = 0
        return numbers

    def _bytes(self, at: int) -> pa.Array:
        """A field of the heap as large_binary."""
        valid = self._valid(at)
        starts = self._records[f"{at}s"]
        lengths = self._records[f"{at}n"].astype(np.int64)
        if not valid.all():
            lengths[~valid] = 0
        offsets = heap.offsets_of(lengths)
        if self._which is None:
            packed = heap.gather(self._heaps[0], starts, lengths)
        else:
            packed = np.empty(int(offsets[-1]), np.uint8)
            for number, source in enumerate(self._heaps):
                rows = np.flatnonzero((self._which == number) & (lengths > 0))
                if len(rows):
                    part = heap.gather(source, starts[rows], lengths[rows])
                    heap.scatter(packed, offsets[:-1][rows], lengths[rows], part)
        buffers = [_bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(packed)]
        return pa.Array.from_buffers(pa.large_binary(), len(self), buffers)


def _bitmap(valid: Mask) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def unknown_field(field: str, fields: tuple[str, ...]) -> BoxError:
    """The error for a field that a read did not ask for."""
    return not_found("field", field, fields, fix="ask for it in `fields`, or: box features apply")
