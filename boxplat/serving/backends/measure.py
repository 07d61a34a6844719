"""One back end, alone: `python -m boxplat.serving.backends.measure FOLDER BACKEND THREADS TABLE SIZE…`.

Says on standard output, one JSON object a line, what loading took, and then answers what it is asked on standard input:
`{"size": n, "seconds": s}` for the median time of a call with n rows, `{"answers": path}` for the answers to the table.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from boxplat.serving.backends.loading import runner
from boxplat.serving.backends.model import Model
from boxplat.serving.backends.runner import Array, Spec
from boxplat.serving.backends.source import Source
from boxplat.serving.backends.table import save

ALONE = 64
"""At least so many of the first rows are also answered in batches of every smaller size."""
_LEAST = 5


def main(folder: str, name: str, threads: str, table: str, *sizes: str) -> None:
    """Serve requests until standard input ends."""
    reply = _reserved_output()
    try:
        _serve(reply, folder, name, int(threads), table, sorted(map(int, sizes)))
    except Exception as error:
        # The one who asks decides what it means.
        reply(failed=f"{type(error).__name__}: {error}"[:300])
        raise


def _serve(reply: Callable[..., None], folder: str, name: str, threads: int, table: str, sizes: list[int]) -> None:
    with np.load(table, allow_pickle=False) as found:
        rows = [found[key] for key in found.files]
    began = time.perf_counter()
    model = Model(runner(Source(Path(folder)), name, threads, tuple(sizes)), name, "")
    loaded = time.perf_counter()
    model.warm(dict.fromkeys((1, 2, *sizes)), rows)
    takes = [_form(spec) for spec in model.inputs]
    reply(load_seconds=loaded - began, first_seconds=time.perf_counter() - loaded, takes=takes)
    for line in sys.stdin:
        asked = json.loads(line)
        if "answers" in asked:
            save(asked["answers"], dict(_answers(model, rows, sizes)))
            reply(answered=True)
        else:
            reply(seconds=_seconds(model, rows, asked["size"], asked["seconds"]), memory_mib=_memory())


def _form(spec: Spec) -> str:
    return f"{spec.dtype} [{', '.join('N' if size is None else str(size) for size in spec.shape)}]"


def _reserved_output() -> Callable[..., None]:
    """A way to reply that nothing else prints to."""
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def reply(**parts: object) -> None:
        stream.write(json.dumps(parts) + "\n")

    return reply


def _seconds(model: Model, rows: list[Array], size: int, wanted: float) -> float:
    batch = [np.resize(array, (size, *array.shape[1:])) for array in rows]
    times: list[float] = []
    end = time.perf_counter() + wanted
    while len(times) < _LEAST or time.perf_counter() < end:
        began = time.perf_counter()
        model(*batch)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _answers(model: Model, rows: list[Array], sizes: list[int]) -> Iterator[tuple[str, Array]]:
    """Every output of all rows in the largest batches, as `SIZE.OUTPUT`, and of the first rows in every other size.

    Where there are fewer rows than a batch has, they are repeated.
    """
    for size in sizes:
        count = len(rows[0]) if size == sizes[-1] else min(len(rows[0]), max(ALONE, size))
        some = [np.resize(array[:count], (max(count, size), *array.shape[1:])) for array in rows]
        yield from ((f"{size}.{i}", output) for i, output in enumerate(in_batches(model, some, size)))


def in_batches(model: Model, rows: list[Array], size: int) -> list[Array]:
    """Outputs of all rows, so many at a time."""
    parts = []
    for start in range(0, len(rows[0]), size):
        outputs = model(*(array[start : start + size] for array in rows))
        parts.append(outputs if isinstance(outputs, tuple) else (outputs,))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _memory() -> float:
    """Peak of this process in MiB, and of its device's memory where it uses one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peak += torch.cuda.max_memory_reserved() / 2**20
    return peak


if __name__ == "__main__":
    main(*sys.argv[1:])
