"""From frames to Arrow: one row for each prediction."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from boxplat.serving.log.annotation import problem
from boxplat.serving.log.frames import NUMBERS, TEXTS, Frame, decode
from boxplat.serving.log.predictions import Predictions, of

_TIME = pa.timestamp("us", tz="UTC")
# What a request has one of; the bodies and their sizes are on its first row only.
_REQUEST = {
    "time": _TIME,
    "api": pa.string(),
    "status": pa.int16(),
    "seconds": pa.float64(),
    "batch": pa.int32(),
    "endpoint": pa.string(),
    "release": pa.int32(),
}
_BODIES = {
    "input": pa.string(),
    "output": pa.string(),
    "input_bytes": pa.int64(),
    "output_bytes": pa.int64(),
    "input_sha256": pa.string(),
    "output_sha256": pa.string(),
}
_PREDICTION = {
    "model_version": pa.string(),
    "feature_service": pa.string(),
    "as_of": _TIME,
    "keys": pa.string(),
    "features": pa.string(),
    "ages": pa.string(),
    "prediction": pa.string(),
    "problem": pa.string(),
    "shadow": pa.bool_(),
}
SCHEMA = pa.schema({"id": pa.string(), "row": pa.int32(), "rows": pa.int32(), **_REQUEST, **_PREDICTION, **_BODIES})


def tables(file: BinaryIO) -> Iterator[pa.Table]:
    """The rows of a spool, a table for each frame."""
    try:
        facts = json.loads(file.readline())
    except ValueError:
        # Its first line did not get there.
        return
    for frame in decode(file):
        yield _table(frame, facts)


def load(path: Path) -> pa.Table | None:
    """All rows of a spool, also of one that is being written to; None where it is gone."""
    try:
        with path.open("rb") as file:
            return pa.concat_tables([SCHEMA.empty_table(), *tables(file)])
    except FileNotFoundError:
        return None


def _table(frame: Frame, facts: Mapping[str, str]) -> pa.Table:
    numbers = {name: np.frombuffer(frame.columns[name], dtype="<i8") for name in NUMBERS[1:]}
    for side in ("input", "output"):
        if not len(frame.columns[f"{side}_bytes"]):
            numbers[f"{side}_bytes"] = np.frombuffer(frame.columns[side][: 4 * frame.rows], dtype="<i4").astype("<i8")
    texts = {name: _bytes(frame.columns[name], frame.rows) for name in TEXTS}
    made: dict[str, Any] = {
        "time": pa.array(numbers["began"] // 1000).cast(_TIME),
        "api": texts["api"],
        "status": numbers["status"],
        "seconds": numbers["latency"] / 1e9,
        "batch": numbers["batch"],
        "endpoint": pa.repeat(pa.scalar(facts.get("endpoint"), pa.string()), frame.rows),
        "release": pa.repeat(pa.scalar(_number(facts.get("release")), pa.int32()), frame.rows),
        "id": pa.array(_ids(frame, texts["given"])),
        **_bodies("input", numbers, texts),
        **_bodies("output", numbers, texts),
    }
    requests = pa.table({name: pa.array(column).cast(SCHEMA.field(name).type) for name, column in made.items()})
    said = texts["said"]
    return _alone(requests, facts) if said.null_count == len(said) else _by_prediction(requests, said, facts)


def _alone(requests: pa.Table, facts: Mapping[str, str]) -> pa.Table:
    """Requests of which nothing was said: one prediction each."""
    count = requests.num_rows
    columns = {name: pa.repeat(pa.scalar(facts.get(name), kind), count) for name, kind in _PREDICTION.items()}
    columns |= {"row": pa.array(np.zeros(count, np.int32)), "rows": pa.array(np.ones(count, np.int32))}
    columns |= {name: requests.column(name) for name in requests.column_names}
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _by_prediction(requests: pa.Table, said: pa.Array, facts: Mapping[str, str]) -> pa.Table:
    found = [_predictions(one, facts) for one in said.to_pylist()]
    counts = np.array([one.rows for one in found], np.int32)
    made: dict[str, list[Any]] = {name: [] for name in _PREDICTION}
    for one in found:
        for name, values in one.columns.items():
            made[name] += values if values is not None else [None] * one.rows
    columns = {name: pa.array(values, SCHEMA.field(name).type) for name, values in made.items()}
    owner = np.repeat(np.arange(len(counts)), counts)
    row = (np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]).astype(np.int32)
    columns |= {"row": pa.array(row), "rows": pa.array(counts[owner])}
    for name in requests.column_names:
        # A request's value is on each of its rows, its bodies on the first of them.
        picked = pa.array(owner, mask=row > 0) if name in _BODIES else pa.array(owner)
        columns[name] = requests.column(name).take(picked)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _predictions(said: bytes | None, facts: Mapping[str, str]) -> Predictions:
    try:
        return of(said, facts)
    except Exception as error:
        # Of this record only: the others of its spool are not to be lost for it.
        return of(json.dumps([{"rows": None, "problem": problem(error)}]).encode(), facts)


def _bytes(column: memoryview, rows: int) -> pa.Array:
    if not len(column):
        return pa.nulls(rows, pa.large_binary())
    lengths = np.frombuffer(column[: 4 * rows], dtype="<i4")
    offsets = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(np.maximum(lengths, 0), out=offsets[1:])
    valid = None
    if (lengths < 0).any():
        valid = pa.array(lengths >= 0).buffers()[1]
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(column[4 * rows :])]
    return pa.Array.from_buffers(pa.large_binary(), rows, buffers)


def _ids(frame: Frame, given: pa.Array) -> list[str]:
    made = [f"{number:016x}" for number in np.frombuffer(frame.columns["number"], dtype="<u8").tolist()]
    if given.null_count == len(given):
        return made
    return [one if text is None else text.decode() for one, text in zip(made, given.to_pylist(), strict=True)]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _bodies(side: str, numbers: Mapping[str, Any], texts: Mapping[str, pa.Array]) -> dict[str, Any]:
    """A body as text; of one that is none, its digest instead."""
    bodies, digests = texts[side], texts[f"{side}_sha256"]
    sizes = numbers[f"{side}_bytes"]
    try:
        if digests.null_count < len(digests):
            raise pa.ArrowInvalid("some are cut")
        shown = bodies.cast(pa.large_string())
    except pa.ArrowInvalid:
        shown, digests = _checked(bodies.to_pylist(), digests.to_pylist(), sizes.tolist())
    return {side: shown, f"{side}_bytes": sizes, f"{side}_sha256": digests}


def _checked(
    bodies: list[bytes | None], digests: list[bytes | None], sizes: list[int]
) -> tuple[list[str | None], list[bytes | None]]:
    """Texts, and the digests of what is none. Those of texts that were cut stay."""
    shown: list[str | None] = []
    for i, (body, size) in enumerate(zip(bodies, sizes, strict=True)):
        try:
            # A cut may have gone through a character.
            shown.append(None if body is None else codecs.utf_8_decode(body, "strict", len(body) >= size)[0])
        except UnicodeDecodeError:
            shown.append(None)
            if body is not None and len(body) >= size:
                digests[i] = hashlib.sha256(body).hexdigest().encode()
    return shown, digests
