"""BentoML's own way between bodies and values, by its Pydantic models; the measure of every other codec."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

Arguments = tuple[Sequence[Any], dict[str, Any]]
Read = Callable[[bytes], Arguments]
Write = Callable[[Any], tuple[bytes, str]]


def reads(spec: Any) -> Read:
    """How a body becomes a call's arguments: `spec.model_validate_json`, with the spec's schema made once."""
    from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]

    is_root = issubclass(spec, IORootModel)
    is_text = is_root and spec.model_json_schema().get("type") == "string"

    def read(body: bytes) -> Arguments:
        raw = body or b"{}"
        if not is_root:
            return unpack(spec.model_validate_json(raw))
        return unpack(spec.model_validate(raw if is_text else json.loads(raw)))

    unpack = arguments(spec)
    return read


@cache
def arguments(spec: Any) -> Callable[[Any], Arguments]:
    """How a validated input becomes a call's arguments."""
    from _bentoml_sdk.io_models import ARGS, KWARGS, IORootModel

    fields = tuple(spec.model_fields)
    if getattr(spec, "__root_input__", False):
        is_root = issubclass(spec, IORootModel)
        return lambda made: ((made.root if is_root else made,), {})

    def named(made: Any) -> Arguments:
        return (), {name: getattr(made, name) for name in fields}

    def variable(made: Any) -> Arguments:
        kwargs = {name: getattr(made, name) for name in fields}
        args = (kwargs.pop(ARGS),) if ARGS in kwargs else ()
        if KWARGS in kwargs:
            kwargs.update(kwargs.pop(KWARGS))
        return args, kwargs

    return variable if ARGS in fields or KWARGS in fields else named


def content_type(spec: Any) -> str:
    """Of an answer of this spec, as Starlette's `Response` writes the header."""
    kind: str = spec.mime_type()
    return f"{kind}; charset=utf-8" if kind.startswith("text/") and "charset=" not in kind.lower() else kind


def writes(spec: Any) -> Write:
    """How what a function gives becomes a body and its content type: `spec.to_http_response`, its type made once."""
    from _bentoml_sdk.io_models import IORootModel

    kind = content_type(spec)

    def write_root(value: Any) -> tuple[bytes, str]:
        made = value if isinstance(value, IORootModel) else spec(value)
        rendered = made.model_dump()
        if isinstance(rendered, str):
            return rendered.encode(), kind
        if isinstance(rendered, bytes):
            return rendered, kind
        return made.model_dump_json().encode(), kind

    def write_model(value: Any) -> tuple[bytes, str]:
        return value.model_dump_json(exclude=set()).encode(), kind

    return write_root if issubclass(spec, IORootModel) else write_model
