"""What Pydantic really does for a model, read from its core schema: what annotations say is not always what counts."""

from __future__ import annotations

from typing import Any

_MODEL = {"type", "cls", "config", "custom_init", "metadata", "ref", "root_model", "schema"}
_FIELDS = {"type", "fields", "computed_fields", "model_name"}
_FIELD = {"type", "schema", "metadata"}


def fields_of(spec: Any) -> dict[str, Any] | None:
    """The core schema of each field; None where the model has rules or methods of a person's own.

    Such a model is one of BentoML's, made of a function's signature.
    """
    core = spec.__pydantic_core_schema__ if spec.__pydantic_complete__ else {}
    if not _is_bare(spec) or core.get("type") != "model" or core.keys() - _MODEL or core["config"].keys() - {"title"}:
        return None
    inner = core["schema"]
    if inner["type"] != "model-fields" or inner.keys() - _FIELDS or inner["computed_fields"]:
        return None
    found = inner["fields"]
    if any(field.keys() - _FIELD for field in found.values()):
        return None
    return {name: field["schema"] for name, field in found.items()}


def is_only(schema: Any, *keys: str) -> bool:
    """Whether a schema says nothing but its type and these things."""
    return not schema.keys() - {"type", "metadata", *keys}


def by_function(schema: Any, described: type) -> Any:
    """BentoML's description of values that it makes from anything and writes itself; None for other schemas."""
    if schema["type"] != "function-after" or not is_only(schema, "function", "schema", "serialization"):
        return None
    found = getattr(schema["function"]["function"], "__self__", None)
    writes = schema.get("serialization", {}).get("function")
    if type(found) is not described or schema["schema"]["type"] != "any" or getattr(writes, "__self__", None) != found:
        return None
    return found


def _is_bare(spec: Any) -> bool:
    from _bentoml_sdk.io_models import IODescriptor, IORootModel, ensure_io_descriptor  # type: ignore[import-untyped]
    from pydantic import create_model

    if issubclass(spec, IORootModel):
        bare, base, above = ensure_io_descriptor(int), IORootModel, 2
    else:
        bare, base, above = create_model("Input", __base__=IODescriptor, x=(int, ...)), IODescriptor, 1
    own = {"__root_input__", "media_type", "mime_type", "__annotations__"}
    return spec.__mro__[above] is base and vars(spec).keys() <= vars(bare).keys() | own
