"""pandas frames, as records or as columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from boxplat.serving.codecs.numbers import PLAIN_KINDS, UnfitError, numbers
from boxplat.serving.codecs.schemas import by_function

# Names with nothing in them that is written otherwise in JSON, or that looks like a number's exponent.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def text(core: Any) -> Callable[[Any], bytes] | None:
    """How a frame becomes JSON; None where the schema is for no frame."""
    from _bentoml_sdk.validators import DataframeSchema  # type: ignore[import-untyped]

    schema = by_function(core, DataframeSchema)
    if schema is None:
        return None
    if schema.orient == "records":
        return _records
    return _columns if schema.orient == "columns" else None


def _records(frame: Any) -> bytes:
    columns = _lists(frame)
    return numbers([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], "null")


def _columns(frame: Any) -> bytes:
    return numbers(_lists(frame), "null")


def _lists(frame: Any) -> dict[str, list[Any]]:
    """The columns of a frame that has nothing but numbers."""
    import pandas as pd

    names = frame.columns.tolist() if type(frame) is pd.DataFrame else []
    if not names or len(set(names)) < len(names) or not all(type(one) is str and _NAME.fullmatch(one) for one in names):
        raise UnfitError
    found = {}
    for name in names:
        column = frame[name]
        if str(column.dtype) not in PLAIN_KINDS:
            raise UnfitError
        found[name] = column.tolist()
    return found
