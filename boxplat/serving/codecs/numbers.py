"""Numbers in JSON, letter by letter as `json.dumps` writes them, several times faster."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic_core import to_json

# What pydantic_core writes in other words than Python: 0.00001 for 1e-05, and 1e-7 for 1e-07.
_SMALL = re.compile(rb"0\.0000\d+")
_SMALLER = re.compile(rb"e-(?=\d(?:[,\]}]|$))")
# One number in so many may have to be written by Python; with more of them it is faster to have it write all.
_SHARE = 4

# The types of numbers that have the same meaning in NumPy, pandas, torch and JSON.
PLAIN_KINDS = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)
NotFinite = Literal["constants", "null"]


class UnfitError(Exception):
    """A value that only BentoML's models can judge."""


def numbers(value: Any, not_finite: NotFinite) -> bytes:
    """Of a number, or of lists of numbers of any depth: int, float and bool only, which is for the caller to see to.

    Dicts may be among the lists if their keys are plain names.

    Args:
        not_finite: what is written for NaN and the infinities: their names in Python, or null.
    """
    written = to_json(value, inf_nan_mode=not_finite)
    if b"e-" in written:
        written = _SMALLER.sub(b"e-0", written)
    small = written.count(b"0.0000")
    if small > 1 and small * _SHARE > written.count(b","):
        return json.dumps(value, allow_nan=not_finite == "constants").encode()
    if small:
        written = _SMALL.sub(_as_python, written)
    return written.replace(b",", b", ").replace(b":", b": ")


def _as_python(found: re.Match[bytes]) -> bytes:
    whole, at = found.string, found.start()
    # The end of a larger number, such as 10.00001, is left as it is.
    return found[0] if at and whole[at - 1 : at].isdigit() else repr(float(found[0])).encode()
