"""Whether two values are equal, up to a tolerance and to where things lie: run as a program, it compares artifacts.

It loads pickles of the project's own runs, with the project's own classes, so it is a process of its own: one JSON
object on standard input, one on standard output.
"""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import math
import pickle
import sys
import zipfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from io import BytesIO
from typing import Any

Places = Mapping[str, str]
_ZIP, _DIGEST = b"PK\x03\x04", "/.data/serialization_id"


class Comparison:
    """How values are compared.

    Args:
        tolerance: how far numbers may lie apart, relative to the larger one.
        places: what a folder's path is replaced by, on both sides, before texts are compared.
        varies: patterns of keys, of the outermost mapping, whose values may be anything.
    """

    def __init__(self, tolerance: float = 0.0, places: Places | None = None, varies: Sequence[str] = ()) -> None:
        self._tolerance, self._varies = tolerance, varies
        self._places = sorted((places or {}).items(), key=lambda place: -len(place[0]))

    def difference(self, one: Any, other: Any, at: str = "") -> str:
        """Where two values differ and how, or an empty text."""
        if isinstance(one, BaseException) or type(one).__name__ == "MetaflowExceptionWrapper":
            return self._exceptions(one, other, at)
        if type(one) is not type(other) and not (_number(one) and _number(other)):
            return f"{at}: {type(one).__name__}, then {type(other).__name__}"
        if isinstance(one, str):
            return "" if self._text(one) == self._text(other) else _shown(at, one, other)
        if isinstance(one, bytes):
            return self._bytes(one, other, at)
        if _number(one):
            return "" if self._close(one, other) else _shown(at, one, other)
        if isinstance(one, Mapping):
            return self._mappings(one, other, at)
        if isinstance(one, list | tuple):
            return self._sequences(one, other, at)
        return self._objects(one, other, at)

    def _close(self, one: Any, other: Any) -> bool:
        if isinstance(one, float) and math.isnan(one):
            return bool(isinstance(other, float) and math.isnan(other))
        return bool(one == other) or math.isclose(one, other, rel_tol=self._tolerance)

    def _text(self, text: str) -> str:
        for place, name in self._places:
            text = text.replace(place, name)
        return text

    def _bytes(self, one: bytes, other: bytes, at: str) -> str:
        """Archives by their members: a model's has the places of the code that made it."""
        if one == other:
            return ""
        if one.startswith(_ZIP) and other.startswith(_ZIP):
            return self._mappings(_members(one), _members(other), at or "archive")
        for place, name in self._places:
            one, other = (content.replace(place.encode(), name.encode()) for content in (one, other))
        return "" if one == other else _shown(at, one, other)

    def _exceptions(self, one: Any, other: Any, at: str) -> str:
        """By their kind and text: the lines of a traceback say where the code lies."""
        said = [self._text(f"{getattr(error, 'type', type(error))}: {error}".split("\n")[0]) for error in (one, other)]
        return "" if said[0] == said[1] else _shown(at, *said)

    def _mappings(self, one: Mapping[Any, Any], other: Mapping[Any, Any], at: str) -> str:
        if one.keys() != other.keys():
            return f"{at}: keys {sorted(map(str, one.keys() ^ other.keys()))} on one side only"
        keys = [key for key in one if at or not any(fnmatch(str(key), pattern) for pattern in self._varies)]
        found = (self.difference(one[key], other[key], f"{at}[{key!r}]") for key in keys)
        return next((difference for difference in found if difference), "")

    def _sequences(self, one: Sequence[Any], other: Sequence[Any], at: str) -> str:
        if len(one) != len(other):
            return f"{at}: {len(one)} items, then {len(other)}"
        found = (self.difference(*pair, f"{at}[{index}]") for index, pair in enumerate(zip(one, other, strict=True)))
        return next((difference for difference in found if difference), "")

    def _objects(self, one: Any, other: Any, at: str) -> str:
        for reading in (_arrays, _state):
            read = reading(one)
            if read is not None:
                return self.difference(read, reading(other), at)
        return "" if bool(one == other) else _shown(at, one, other)


def _members(archive: bytes) -> dict[str, bytes]:
    """The members of an archive by name, without the digest that PyTorch makes of all the others."""
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith(_DIGEST)}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arrays(value: Any) -> Any:
    """A data frame as columns, an array or tensor as lists with its type; None for anything else."""
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return {str(name): value[name].tolist() for name in value.columns}
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return {"dtype": str(value.dtype), "values": value.tolist()}
    return None


def _state(value: Any) -> Any:
    """The attributes of an object; None if it has none, so that it is compared as a whole."""
    state = getattr(value, "__dict__", None)
    if state is None and hasattr(value, "__slots__"):
        state = {name: getattr(value, name) for name in value.__slots__ if hasattr(value, name)}
    return state or None


def _shown(at: str, one: Any, other: Any) -> str:
    return f"{at}: {repr(one)[:80]}, then {repr(other)[:80]}".removeprefix(": ")


class _Loader(pickle.Unpickler):
    """What a flow's process pickled as its own is in the module of the flow's file."""

    def __init__(self, content: bytes, module: str) -> None:
        super().__init__(BytesIO(content))
        self._module = module

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__":
            return getattr(importlib.import_module(self._module), name)
        return super().find_class(module, name)


def main() -> None:
    """Compare pairs of pickles: `{module, places, pairs: [{one, other, tolerance, varies}]}` gives what differs."""
    asked = json.load(sys.stdin)
    answers = []
    for pair in asked["pairs"]:
        try:
            one, other = (_load(pair[side], asked["module"]) for side in ("one", "other"))
            comparison = Comparison(pair["tolerance"], asked["places"], pair["varies"])
            answers.append(comparison.difference(one, other))
        except (
            pickle.UnpicklingError,
            ImportError,
            AttributeError,
            ValueError,
            TypeError,
            EOFError,
            zipfile.BadZipFile,
        ) as error:
            answers.append(f"cannot be read: {type(error).__name__}: {error}")
    json.dump(answers, sys.stdout)


def _load(encoded: str, module: str) -> Any:
    return _Loader(gzip.decompress(base64.b64decode(encoded)), module).load()


if __name__ == "__main__":
    main()
