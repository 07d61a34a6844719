"""CPU time of each codec beside that of BentoML's own models, in process.

usage: python scripts/bench/serving/codecs.py [--turns 15]

Needs what the services of the tests need: NumPy, pandas and torch. Every figure is the smallest of several turns of
process time, in which both ways take one after the other.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from _bentoml_sdk.io_models import IODescriptor  # type: ignore[import-untyped]
from bentoml.validators import DataframeSchema, DType
from tables import number, table

from boxplat.serving.codecs import models, reader, writer

_ROW = np.random.default_rng(0).standard_normal((1, 64)).astype("float32")
_FRAME = pd.DataFrame(_ROW[:, :10].astype("float64"), columns=list("abcdefghij"))
_TENSOR = torch.from_numpy(_ROW)
_LABELLED = {"label": "late", "probability": 0.123456789, "rows": [[0.25, 0.5]]}
CASES: list[tuple[str, Any, Any, Any]] = [
    ("array, 1 x 1", np.ndarray, [[0.5]], _ROW[:, :1]),
    ("array, 1 x 64", np.ndarray, _ROW.tolist(), _ROW),
    ("array, 64 x 64", np.ndarray, _ROW.tolist() * 64, np.repeat(_ROW, 64, axis=0)),
    ("array, 1 x 64, all below 0.0001", np.ndarray, (_ROW * 1e-6).tolist(), _ROW * 1e-6),
    ("array of float32, 1 x 64", Annotated[np.ndarray, DType("float32")], _ROW.tolist(), _ROW),
    ("tensor, 1 x 64", torch.Tensor, _ROW.tolist(), _TENSOR),
    ("frame of records, 1 x 10", pd.DataFrame, _FRAME.to_dict(orient="records"), _FRAME),
    (
        "frame of columns, 1 x 10",
        Annotated[pd.DataFrame, DataframeSchema(orient="columns")],
        _FRAME.to_dict(orient="list"),
        _FRAME,
    ),
    ("list[list[float]], 1 x 64", list[list[float]], _ROW.tolist(), _ROW.tolist()),
    ("dict", dict, _LABELLED, _LABELLED),
    ("float", float, 0.5, 0.5),
    ("str", str, "a text", "a text"),
]


def specs(kind: Any) -> tuple[Any, Any]:
    """What BentoML makes of an API with one parameter and an answer of this type."""

    def function(x: Any) -> Any: ...

    function.__annotations__ = {"x": kind, "return": kind}
    return IODescriptor.from_input(function), IODescriptor.from_output(function)


def smallest(first: Callable[[], Any], second: Callable[[], Any], turns: int) -> tuple[float, float]:
    """Microseconds of one call of each."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for function, times in zip((first, second), found, strict=True):
            since, count = time.process_time(), 0
            while (spent := time.process_time() - since) < 0.01:
                for _ in range(20):
                    function()
                count += 20
            times.append(spent / count * 1e6)
    return min(found[0]), min(found[1])


def rows(turns: int) -> Iterator[list[str]]:
    """One for each case."""
    for name, kind, given, value in CASES:
        inputs, outputs = specs(kind)
        body = json.dumps({"x": given}).encode()
        fast, slow = reader(inputs), models.reads(inputs)
        read = smallest(lambda: slow(body), lambda: fast(body), turns)  # noqa: B023 - called here
        quick, usual = writer(outputs), models.writes(outputs)
        assert quick(value) == usual(value)
        write = smallest(lambda: usual(value), lambda: quick(value), turns)  # noqa: B023 - called here
        yield [name, *map(number, (*read, *write)), number(write[0] / write[1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    heads = ("body", "models read us", "codec reads us", "models write us", "codec writes us", "times")
    print("\n".join(table(heads, rows(parser.parse_args().turns))))


if __name__ == "__main__":
    main()
