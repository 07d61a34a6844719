"""JSON bodies whose values need no model: arrays, and the scalars beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from boxplat.serving.codecs import arrays, tensors
from boxplat.serving.codecs.derived import is_derived
from boxplat.serving.codecs.models import Arguments, Read, reads
from boxplat.serving.codecs.numbers import UnfitError

Take = Callable[[Any], Any]
_WHOLE = 2**53


def reader(spec: Any) -> Read:
    """How a body becomes a call's arguments; raises what BentoML's models raise."""
    from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]

    slow = reads(spec)
    takes = _takes(spec)
    if takes is None:
        return slow
    if issubclass(spec, IORootModel):
        return _root(takes["root"], slow)
    # One pass of Pydantic is as fast where no value needs a function in Python.
    return _fields(spec, takes, slow) if any(one not in _SCALARS.values() for one in takes.values()) else slow


def _root(take: Take, slow: Read) -> Read:
    def read(body: bytes) -> Arguments:
        try:
            return (take(from_json(body)),), {}
        except Exception:  # whatever it is, the models give the answer
            return slow(body)

    return read


def _fields(spec: Any, takes: dict[str, Take], slow: Read) -> Read:
    count = len(takes)
    named = tuple(takes.items())
    defaults = {name: spec.model_fields[name].default for name in takes if not spec.model_fields[name].is_required()}

    def read(body: bytes) -> Arguments:
        try:
            found = from_json(body)
            if len(found) == count:
                return (), {name: take(found[name]) for name, take in named}
            if defaults and found.keys() <= takes.keys():
                return (), {name: take(found[name]) if name in found else defaults[name] for name, take in named}
        except Exception:  # whatever it is, the models give the answer
            return slow(body)
        return slow(body)

    return read


def _takes(spec: Any) -> dict[str, Take] | None:
    """For each field how a parsed value becomes the argument; None where a field or the model has rules of its own."""
    from _bentoml_sdk.io_models import ARGS, KWARGS, IORootModel

    if not is_derived(spec, root=issubclass(spec, IORootModel)):
        return None
    takes = {}
    for name, field in spec.model_fields.items():
        take = None if name in (ARGS, KWARGS) or _is_special(field) else _take(field)
        if take is None:
            return None
        takes[name] = take
    return takes or None


def _is_special(field: Any) -> bool:
    if field.alias is not None or field.validation_alias is not None or field.validate_default:
        return True
    plain = isinstance(field.default, (int, float, str, type(None)))
    return not field.is_required() and (field.default_factory is not None or not plain)


def _take(field: Any) -> Take | None:
    if field.metadata:
        return arrays.take(field.metadata) or tensors.take(field.metadata)
    return _SCALARS.get(field.annotation)


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


_SCALARS: dict[Any, Take] = {int: _exact(int), float: _float, bool: _exact(bool), str: _exact(str)}
