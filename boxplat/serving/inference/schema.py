"""The tensors that an API takes and gives, from the same JSON schema that its `docs.json` shows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]

from boxplat.serving.inference.tensors import BF16, BYTES, DATATYPES

OUTPUT = "output"
_SCALARS = {"integer": "INT64", "number": "FP64", "boolean": "BOOL", "string": BYTES}


class Kind(Enum):
    """What a field of a request's or an answer's body is."""

    ARRAY = "array"
    SCALAR = "scalar"
    LIST = "list"
    BINARY = "binary"
    FILE = "file"
    FRAME = "frame"
    JSON = "json"


@dataclass(frozen=True)
class Field:
    """One tensor of a model.

    Attributes:
        shape: -1 where a dimension is open; in `(-1,)` of an array whose annotation has no shape, the rank is open too.
        exact: the datatype is the annotation's, and no other is taken.
        ranked: the shape is the annotation's.
        library: whose array it is, as BentoML names it: `numpy-array`, `torch-tensor`, `tf-tensor`.
    """

    name: str
    kind: Kind
    datatype: str = BYTES
    shape: tuple[int, ...] = (1,)
    optional: bool = False
    exact: bool = True
    ranked: bool = True
    library: str = ""

    def described(self) -> dict[str, Any]:
        """As metadata shows it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """The tensors of one side of an API.

    Attributes:
        whole: the body is one value, and the only field is that value.
        keyed: the body is an object whose keys are not known before.
    """

    fields: tuple[Field, ...]
    whole: bool
    keyed: bool = False

    def named(self) -> dict[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}


def taken(method: Any) -> Signature:
    """What an API (BentoML's `APIMethod`) takes."""
    schema = method.input_spec.model_json_schema()
    if _is_model(method.input_spec):
        return Signature(tuple(_properties(schema)), whole=False)
    names = [name for name in inspect.signature(method.func).parameters if name != method.ctx_param][1:]
    return Signature((field(names[0] if names else "input", schema, schema),), whole=True)


def given(method: Any) -> Signature:
    """What an API gives; of one that streams, each part."""
    spec = method.output_spec
    if _is_model(spec):
        return Signature(tuple(_properties(spec.model_json_schema(by_alias=False))), whole=False)
    schema = spec.model_json_schema()
    found = field(OUTPUT, schema, schema)
    keyed = found.kind is Kind.JSON and schema.get("type") == "object"
    return Signature((found,), whole=True, keyed=keyed)


def _is_model(spec: Any) -> bool:
    return not issubclass(spec, IORootModel)


def _properties(schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield field(name, inner, schema, optional=name not in required)


def field(name: str, schema: Mapping[str, Any], whole: Mapping[str, Any], optional: bool = False) -> Field:
    """The tensor of a value.

    Args:
        schema: of the value.
        whole: the schema that holds its definitions.
    """
    schema, nullable = _plain(schema, whole)
    kind = schema.get("type")
    optional = optional or nullable
    if kind == "tensor":
        return _array(name, schema, optional)
    if kind == "file":
        return Field(name, Kind.FILE, optional=optional)
    if kind == "dataframe":
        return Field(name, Kind.FRAME, optional=optional)
    if kind == "string" and schema.get("format") == "binary":
        return Field(name, Kind.BINARY, optional=optional)
    if kind in _SCALARS:
        return Field(name, Kind.SCALAR, _SCALARS[kind], (-1,) if nullable else (1,), optional)
    datatype, depth = _nested(schema, whole)
    if datatype:
        return Field(name, Kind.LIST, datatype, (-1,) * depth, optional)
    return Field(name, Kind.JSON, optional=optional)


def _plain(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """A schema without its references, and whether the value may be null."""
    nullable = False
    while True:
        options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if "$ref" in schema:
            schema = whole.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {})
        elif len(options) == 1:
            nullable = True
            schema = options[0]
        else:
            return schema, nullable


def _array(name: str, schema: Mapping[str, Any], optional: bool) -> Field:
    datatype = _datatype(schema.get("dtype"))
    shape = schema.get("shape")
    return Field(
        name,
        Kind.ARRAY,
        datatype or "FP64",
        tuple(shape) if shape is not None else (-1,),
        optional,
        exact=datatype is not None,
        ranked=shape is not None,
        library=schema.get("format", ""),
    )


def _datatype(dtype: Any) -> str | None:
    if dtype is None:
        return None
    if dtype == "bfloat16":
        return BF16
    try:
        return DATATYPES.get(np.dtype(dtype).str)
    except TypeError:
        return None


def _nested(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> tuple[str, int]:
    """The datatype and the depth of a list of scalars, or of lists of them; no datatype for what is none."""
    depth = 0
    while schema.get("type") == "array" and "items" in schema and "prefixItems" not in schema:
        schema, nullable = _plain(schema["items"], whole)
        depth += 1
        if nullable:
            return "", 0
    is_scalar = depth and schema.get("type") in _SCALARS and schema.get("format") != "binary"
    return (_SCALARS[schema["type"]], depth) if is_scalar else ("", 0)
