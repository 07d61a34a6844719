"""Point-in-time joins: boxplat beside Feast's stores, polars and pandas, each join in a fresh process, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from data import dataset
from table import Row

PROGRAM = Path(__file__).with_name("contenders.py")
OURS = "boxplat"
TOLD = {
    "boxplat": "boxplat, to Arrow",
    "boxplat-arrow": "boxplat, Arrow to Arrow",
    "boxplat-join": "boxplat, the join without Feast",
    "boxplat-parquet": "boxplat, Parquet to Parquet",
    "feast-duckdb": "Feast `duckdb`",
    "feast-file": "Feast `file` (dask)",
    "polars": "polars `join_asof`",
    "pandas": "pandas `merge_asof`",
}
CASES = {
    "S": "S: 10 k rows x 102 k",
    "M": "M: 100 k rows x 1.02 M",
    "L": "L: 1 M rows x 10.2 M",
    "XL": "XL: 1 M rows x 102 M",
    "narrow": "narrow: 10 k rows of 3 days x 10.2 M of 90",
    "nyc": "flights: 336,776 rows, 3 views",
}
INTERLEAVED = ("boxplat", "feast-duckdb", "boxplat-arrow", "boxplat-join", "polars", "pandas", "boxplat-parquet")
# They begin with a frame of their own, so they are compared with the run that begins with Arrow; Feast with the one
# that begins, as it does, with pandas.
LIBRARIES = ("polars", "pandas")
FILE_SETS = ("S", "M")  # at L it needs some 28 GB, on the flights it does not end in minutes
CAP = "1GB"
Result = dict[str, float | int | str | bool]
TIME_LIMIT_S = 1_800


def once(name: str, folder: Path) -> Result:
    """One run of one contender in a process of its own."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    argv = [sys.executable, str(PROGRAM), name, str(folder), *([CAP] if name == "boxplat-parquet" else [])]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S)
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not answers:
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stderr[-2000:]}")
    found: Result = json.loads(answers[-1])
    return found


def pairs_of(folder: Path, names: Sequence[str], pairs: int, said: Callable[[str], None]) -> dict[str, list[Result]]:
    """Every contender in turn, `pairs` times."""
    found: dict[str, list[Result]] = {name: [] for name in names}
    for pair in range(pairs):
        for name in names:
            one = once(name, folder)
            found[name].append(one)
            said(f"{folder.name} {pair + 1}/{pairs} {name}: {one['seconds']:.3f} s, {one['peak_mb']:.0f} MB")
    return found


def against(ours: Sequence[Result], theirs: Sequence[Result]) -> tuple[float, ...]:
    """Per pair, how many times longer they took."""
    return tuple(float(b["seconds"]) / float(a["seconds"]) for a, b in zip(ours, theirs, strict=False))


def rows(case: str, found: dict[str, list[Result]]) -> Iterator[Row]:
    """Figures and ratios; a ratio only beside an equal checksum."""
    right = {(one["rows"], one["checksum"]) for one in found[OURS]}
    for name, results in found.items():
        seconds = tuple(float(one["seconds"]) for one in results)
        wrong = {(one["rows"], one["checksum"]) for one in results} != right
        if name == OURS and not all(one["in_order"] for one in results):
            raise SystemExit(f"{case}: boxplat's rows are not in the order of the entity rows")
        base = found["boxplat-arrow"] if name in LIBRARIES and "boxplat-arrow" in found else found[OURS]
        ratios = () if name.startswith("boxplat") or wrong else against(base, results)
        note = f"WRONG: {results[0]['rows']:,} rows, {results[0]['checksum']}" if wrong else str(results[0]["checksum"])
        peak = max(float(one["peak_mb"]) for one in results)
        yield Row("Point-in-time join", case, TOLD[name], seconds, "s", ratios, peak, note)


def run(data: Path, pairs: int, sets: Sequence[str] = ("S", "M", "L", "narrow", "nyc")) -> list[Row]:
    """All sets of `data`; raises SystemExit when two contenders that should agree do not."""
    made: list[Row] = []
    for name in sets:
        folder = data / name
        dataset(folder)
        names = INTERLEAVED if name != "XL" else ("boxplat-parquet",)
        found = pairs_of(folder, names, pairs if name != "XL" else 1, lambda text: print(text, file=sys.stderr))
        if name == "XL":
            one = found["boxplat-parquet"][0]
            note = f"memory_limit={CAP}, {one['checksum']}"
            label = TOLD["boxplat-parquet"]
            made.append(
                Row(
                    "Point-in-time join",
                    CASES[name],
                    label,
                    (float(one["seconds"]),),
                    "s",
                    (),
                    float(one["peak_mb"]),
                    note,
                )
            )
            continue
        made += rows(CASES[name], found)
        if name in FILE_SETS:
            made += list(rows(CASES[name], {OURS: found[OURS][:1], "feast-file": [once("feast-file", folder)]}))[1:]
    wrong = [row for row in made if row.note.startswith("WRONG") and row.contender != TOLD["feast-file"]]
    if wrong:
        raise SystemExit(f"unequal answers: {wrong}")
    return made
