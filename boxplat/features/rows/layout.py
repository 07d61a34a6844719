"""The record of one view: where each field lies in the fixed-width row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Any

import numpy as np

from boxplat.features.rows.kinds import INTEGER_KEYS, Kind, kind_of
from boxplat.features.schema import Field, View

Records = np.ndarray[Any, np.dtype[np.void]]
NO_CREATED = -(2**63)
_FORMS = {"<i8": "q", "<u4": "I", "<i4": "i", "<f8": "d", "<f4": "f", "|b1": "?"}


@dataclass(frozen=True)
class Layout:
    """A record: event time, created time, (start and length of the key bytes,) null bits, numbers, and start and length
    of every value in the heap. A field's parts are named by its position: `0`, or `0s` and `0n`.

    `keys` and `fields` are (name, `ValueType`) pairs.
    """

    keys: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.keys, self.fields))

    @classmethod
    def of(cls, view: View) -> Layout:
        keys = sorted((field.name, field.type) for field in view.keys)
        return cls(tuple(keys), tuple((field.name, field.type) for field in view.fields))

    @classmethod
    def from_json(cls, text: dict[str, Any]) -> Layout:
        return cls(tuple((k, t) for k, t in text["keys"]), tuple((f, t) for f, t in text["fields"]))

    def to_json(self) -> dict[str, Any]:
        return {"keys": self.keys, "fields": self.fields}

    def view(self, name: str) -> View:
        """The view with this record and no time to live."""
        return View(name, tuple(Field(*key) for key in self.keys), tuple(Field(*field) for field in self.fields))

    def check(self) -> None:
        """Raises BoxError for a key or a field of a type that cannot be stored."""
        for _, type_ in (*self.keys, *self.fields):
            kind_of(type_)

    @cached_property
    def integer_key(self) -> bool:
        """Whether rows are sorted by the value of their single key, instead of by the hash of their key bytes."""
        return len(self.keys) == 1 and self.keys[0][1] in INTEGER_KEYS

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(kind_of(type_) for _, type_ in self.fields)

    @cached_property
    def position(self) -> dict[str, int]:
        return {name: at for at, (name, _) in enumerate(self.fields)}

    @cached_property
    def heaped(self) -> tuple[int, ...]:
        """The positions of the fields whose values are in the heap."""
        return tuple(at for at, kind in enumerate(self.kinds) if kind.family != "fixed")

    @cached_property
    def spans(self) -> tuple[tuple[str, str], ...]:
        """The names of every start and length in a record."""
        spans = [(f"{at}s", f"{at}n") for at in self.heaped]
        return tuple(spans if self.integer_key else [("ks", "kn"), *spans])

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """Wide parts first, so that every part is aligned; the width is a multiple of 8."""
        parts: list[tuple[str, str]] = [("event", "<i8"), ("created", "<i8")]
        for start, length in self.spans:
            parts += [(start, "<i8"), (length, "<u4")]
        parts += [(str(at), kind.dtype.str) for at, kind in enumerate(self.kinds) if kind.family == "fixed"]
        parts.sort(key=lambda part: -np.dtype(part[1]).itemsize)
        bits = max(1, -(-len(self.fields) // 8))
        width = sum(np.dtype(form).itemsize for _, form in parts) + bits
        padding = -width % 8
        shaped: list[Any] = [*parts, ("nulls", "u1", (bits,))]
        return np.dtype([*shaped, ("pad", "u1", (padding,))] if padding else shaped)

    @cached_property
    def packed(self) -> Struct:
        """A record's parts in the order of `dtype`, as one tuple of Python numbers; the null bits are bytes."""
        forms = []
        for name in self.dtype.names or ():
            part = self.dtype[name]
            if name == "nulls":
                forms.append(f"{part.itemsize}s")
            else:
                forms.append(f"{part.itemsize}x" if name == "pad" else _FORMS[part.str])
        return Struct("<" + "".join(forms))

    @cached_property
    def order(self) -> dict[str, int]:
        """Where each part is in a tuple of `packed`."""
        return {name: at for at, name in enumerate(self.dtype.names or ())}

    def adapt(self, records: Records, old: Layout) -> Records:
        """Records of an older layout in this one: a field that is new, or of another type, is null. Starts and lengths
        still point into the old heap."""
        if old == self:
            return records
        out = np.zeros(len(records), self.dtype)
        for name in ("event", "created") if self.integer_key else ("event", "created", "ks", "kn"):
            out[name] = records[name]
        for at, field in enumerate(self.fields):
            was = old.position.get(field[0], -1)
            if was < 0 or old.fields[was] != field:
                out["nulls"][:, at >> 3] |= np.uint8(1 << (at & 7))
                continue
            for part in [str(at)] if self.kinds[at].family == "fixed" else [f"{at}s", f"{at}n"]:
                out[part] = records[part.replace(str(at), str(was), 1)]
            bit = (records["nulls"][:, was >> 3] >> (was & 7)) & 1
            out["nulls"][:, at >> 3] |= bit << np.uint8(at & 7)
        return out


def not_older(new: Records, old: Records) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool [N]: where the new record replaces the old one: a newer event, or the same and not created before."""
    later = new["event"] > old["event"]
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]]
    mask = later | ((new["event"] == old["event"]) & (new["created"] >= old["created"]))
    return mask
