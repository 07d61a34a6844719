"""JSON bodies whose values need no model: arrays, and the scalars beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic_core import from_json

from boxplat.serving.codecs import arrays
from boxplat.serving.codecs.models import Arguments, Read, reads
from boxplat.serving.codecs.numbers import UnfitError
from boxplat.serving.codecs.schemas import fields_of, is_only

Take = Callable[[Any], Any]
_WHOLE = 2**53
# Such bodies have few strings: the parser's cache of them takes longer to make than to do without.
_parsed = partial(from_json, cache_strings="none")


def reader(spec: Any) -> Read:
    """How a body becomes a call's arguments; raises what BentoML's models raise."""
    from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]

    slow = reads(spec)
    fields = fields_of(spec)
    takes = fields and _takes(fields)
    if not fields or not takes:
        return slow
    if issubclass(spec, IORootModel):
        return _text(slow) if takes["root"] is _SCALARS["str"] else _root(takes["root"], slow)
    if all(take in _SCALARS.values() for take in takes.values()):
        return slow  # one pass of Pydantic is as fast where no value needs a function in Python
    defaults = {name: core["default"] for name, core in fields.items() if core["type"] == "default"}
    return _fields(takes, defaults, slow)


def _text(slow: Read) -> Read:
    """A text is a body as it is, not a JSON string."""

    def read(body: bytes) -> Arguments:
        try:
            return (body.decode(),) if body else slow(body)[0], {}
        except UnicodeDecodeError:
            return slow(body)

    return read


def _root(take: Take, slow: Read) -> Read:
    def read(body: bytes) -> Arguments:
        try:
            return (take(_parsed(body)),), {}
        except Exception:  # whatever it is, the models give the answer
            return slow(body)

    return read


def _fields(takes: dict[str, Take], defaults: dict[str, Any], slow: Read) -> Read:
    count = len(takes)
    named = tuple(takes.items())

    def read(body: bytes) -> Arguments:
        try:
            found = _parsed(body)
            if len(found) == count:
                return (), {name: take(found[name]) for name, take in named}
            if defaults and found.keys() <= takes.keys():
                return (), {name: take(found[name]) if name in found else defaults[name] for name, take in named}
        except Exception:  # whatever it is, the models give the answer
            return slow(body)
        return slow(body)

    return read


def _takes(fields: dict[str, Any]) -> dict[str, Take] | None:
    """For each field how a parsed value becomes the argument; None where one has rules that are not known here."""
    from _bentoml_sdk.io_models import ARGS, KWARGS

    if ARGS in fields or KWARGS in fields:
        return None
    takes = {}
    for name, core in fields.items():
        take = _take(core["schema"] if _has_plain_default(core) else core)
        if take is None:
            return None
        takes[name] = take
    return takes


def _has_plain_default(core: Any) -> bool:
    plain = type(core.get("default")) in (int, float, str, bool, type(None))
    return core["type"] == "default" and is_only(core, "schema", "default") and "default" in core and plain


def _take(core: Any) -> Take | None:
    if is_only(core):
        return _SCALARS.get(core["type"])
    return arrays.take(core)


def _exact(kind: type) -> Take:
    def take(value: Any) -> Any:
        if type(value) is not kind:
            raise UnfitError
        return value

    return take


def _float(value: Any) -> Any:
    if type(value) is float:
        return value
    if type(value) is int and -_WHOLE < value < _WHOLE:
        return float(value)
    raise UnfitError


_SCALARS: dict[str, Take] = {"int": _exact(int), "float": _float, "bool": _exact(bool), "str": _exact(str)}
