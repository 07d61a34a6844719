"""Values whose JSON needs no model: arrays, numbers, and lists and dicts of what JSON itself has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import Any

from boxplat.serving.codecs import arrays, frames
from boxplat.serving.codecs.models import Write, content_type, writes
from boxplat.serving.codecs.numbers import NotFinite, UnfitError, numbers
from boxplat.serving.codecs.schemas import fields_of, is_only

# The JSON of a value as `json.dumps` writes it; raises where the value is left to BentoML's models.
Text = Callable[[Any], bytes]
_BIG = 2**64


def writer(spec: Any) -> Write:
    """How what a function gives becomes a body and its content type; raises what BentoML's models raise."""
    slow = writes(spec)
    text = _root(spec)
    if text is None:
        return slow
    kind = content_type(spec)

    def write(value: Any) -> tuple[bytes, str]:
        try:
            return text(value), kind
        except Exception:  # whatever it is, the models give the answer
            return slow(value)

    return write


def _root(spec: Any) -> Text | None:
    fields = fields_of(spec)
    if not fields or fields.keys() != {"root"}:
        return None
    core = fields["root"]
    if core["type"] == "str" and is_only(core):
        return _raw
    text = _of(core)
    return text and partial(_no_str, text) if core["type"] in ("any", "nullable", "union") else text


def _of(core: Any) -> Text | None:
    """How values of this core schema are written; None where Pydantic has rules for them that are not known here."""
    found = _COMPOSED.get(core["type"])
    if found is not None:
        return found(core)
    if is_only(core):
        return _SCALARS.get(core["type"])
    return arrays.text(core) or frames.text(core)


def _list_of(core: Any) -> Text | None:
    element = _of(core.get("items_schema", _ANYTHING))
    if element is None or not is_only(core, "items_schema"):
        return None
    return partial(_list, _TOGETHER.get(core.get("items_schema", _ANYTHING)["type"], {}), element)


def _dict_of(core: Any) -> Text | None:
    element = _of(core.get("values_schema", _ANYTHING))
    known = core.get("keys_schema", _ANYTHING) in (_ANYTHING, {"type": "str"})
    return partial(_dict, element) if element and known and is_only(core, "keys_schema", "values_schema") else None


def _union_of(core: Any) -> Text | None:
    """Of plain types, one of which is the value's own: the one that Pydantic takes."""
    choices = [core["schema"], {"type": "none"}] if core["type"] == "nullable" else core["choices"]
    plain = all(isinstance(one, dict) and one["type"] in _TYPES and is_only(one) for one in choices)
    if not plain or not is_only(core, "schema" if core["type"] == "nullable" else "choices"):
        return None
    return partial(_one_of, {_TYPES[one["type"]]: _SCALARS[one["type"]] for one in choices})


def _no_str(text: Text, value: Any) -> bytes:
    """For an answer that is not said to be text, and would be sent as it is."""
    if isinstance(value, str):
        raise UnfitError
    return text(value)


def _raw(value: Any) -> bytes:
    """A text is a body by itself."""
    if type(value) is not str:
        raise UnfitError
    return value.encode()


def _str(value: Any) -> bytes:
    if type(value) is not str:
        raise UnfitError
    if not value.isascii():
        value.encode()  # half a surrogate pair is an error, as it is for Pydantic
    return encode_basestring_ascii(value).encode()


def _float(value: Any) -> bytes:
    if type(value) is not float:
        if not isinstance(value, float) or type(value).__module__ != "numpy":
            raise UnfitError
        value = float(value)
    return numbers(value, "constants")


def _any_float(value: Any) -> bytes:
    return numbers(value, "null")


def _int(value: Any) -> bytes:
    if type(value) is not int:
        raise UnfitError
    return int.__repr__(value).encode()


def _bool(value: Any) -> bytes:
    if type(value) is not bool:
        raise UnfitError
    return b"true" if value else b"false"


def _none(value: Any) -> bytes:
    if value is not None:
        raise UnfitError
    return b"null"


def _one_of(kinds: dict[type, Text], value: Any) -> bytes:
    return kinds[type(value)](value)


def _any(value: Any) -> bytes:
    return _BY_TYPE[type(value)](value)


def _list(together: dict[type, NotFinite], element: Text, value: Any) -> bytes:
    if type(value) is not list:
        raise UnfitError
    kinds = set(map(type, value))
    if len(kinds) == 1:
        kind = kinds.pop()
        if kind in together and (kind is float or (-_BIG < min(value) and max(value) < _BIG)):
            return numbers(value, together[kind])
    return b"[" + b", ".join(map(element, value)) + b"]"


def _dict(element: Text, value: Any) -> bytes:
    if type(value) is not dict:
        raise UnfitError
    return b"{" + b", ".join([b"%b: %b" % (_str(key), element(one)) for key, one in value.items()]) + b"}"


_ANYTHING = {"type": "any"}
_TYPES: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str, "none": type(None)}
_SCALARS: dict[str, Text] = {"float": _float, "int": _int, "bool": _bool, "str": _str, "none": _none, "any": _any}
# By the type of a list's elements: those that are written all at once.
_TOGETHER: dict[str, dict[type, NotFinite]] = {
    "float": {float: "constants"},
    "int": {int: "null"},
    "any": {float: "null", int: "null"},
}
_COMPOSED = {"list": _list_of, "dict": _dict_of, "union": _union_of, "nullable": _union_of}
_BY_TYPE: dict[type, Text] = {
    **{_TYPES[name]: _SCALARS[name] for name in _TYPES},
    float: _any_float,
    list: partial(_list, _TOGETHER["any"], _any),
    dict: partial(_dict, _any),
}
