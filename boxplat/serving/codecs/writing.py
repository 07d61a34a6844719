"""Values whose JSON needs no model: arrays, numbers, and lists and dicts of what JSON itself has."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import Annotated, Any, Union, get_args, get_origin

from boxplat.serving.codecs import arrays, tensors
from boxplat.serving.codecs.derived import is_derived
from boxplat.serving.codecs.models import Write, content_type, writes
from boxplat.serving.codecs.numbers import UnfitError, numbers

# The JSON of a value as `json.dumps` writes it; raises where the value is left to BentoML's models.
Text = Callable[[Any], bytes]
_BIG = 2**64
_UNIONS = (Union, types.UnionType)


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
    from _bentoml_sdk.validators import ContentType  # type: ignore[import-untyped]

    if not is_derived(spec, root=True):
        return None
    field = spec.model_fields["root"]
    rules = [rule for rule in field.metadata if not isinstance(rule, ContentType)]
    if rules:
        return _tensor(rules)
    if field.annotation is str:
        return _raw
    text = _of(field.annotation)
    return text and partial(_no_str, text) if _may_be_str(field.annotation) else text


def _may_be_str(annotation: Any) -> bool:
    return annotation is Any or (get_origin(annotation) in _UNIONS and str in get_args(annotation))


def _of(annotation: Any) -> Text | None:
    """How values of this type are written; None where Pydantic has rules for them that are not known here."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _tensor(parts[1:])
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin in _UNIONS and all(part in _SCALARS for part in parts):
        return partial(_one_of, {part: _SCALARS[part] for part in parts})
    if origin is list:
        element = _of(parts[0])
        return element and partial(_list, parts[0] if parts[0] in (int, float) else None, element)
    if origin is dict and parts[0] is str:
        element = _of(parts[1])
        return element and partial(_dict, element)
    return None


def _tensor(rules: Sequence[Any]) -> Text | None:
    return arrays.text(rules) or tensors.text(rules)


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
        raise UnfitError
    return numbers(value)


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


def _list(only: type | None, element: Text, value: Any) -> bytes:
    if type(value) is not list:
        raise UnfitError
    kinds = set(map(type, value))
    if only is not None and kinds - {only}:
        raise UnfitError
    if kinds == {float} or (kinds == {int} and -_BIG < min(value) and max(value) < _BIG):
        return numbers(value)
    return b"[" + b", ".join(map(element, value)) + b"]"


def _dict(element: Text, value: Any) -> bytes:
    if type(value) is not dict:
        raise UnfitError
    return b"{" + b", ".join([b"%b: %b" % (_str(key), element(one)) for key, one in value.items()]) + b"}"


_SCALARS: dict[Any, Text] = {float: _float, int: _int, bool: _bool, str: _str, type(None): _none}
_PLAIN: dict[Any, Text] = {
    **_SCALARS,
    None: _none,
    Any: _any,
    list: partial(_list, None, _any),
    dict: partial(_dict, _any),
}
_BY_TYPE: dict[type, Text] = {**_SCALARS, list: _PLAIN[list], dict: _PLAIN[dict]}
