"""boxplat's features beside Feast's own stores, polars, pandas, bare SQLite and bare Redis, in one run.

usage: python scripts/bench/features [--only join,materialize,online,http] [--sizes S,M,L,narrow,nyc] [--pairs 3]
                                     [--data DIR] [--out FILE]

Generates what data is missing, runs contenders in turns, compares answers before it divides times, and writes one
Markdown table. An hour on two cores with the defaults; XL (100 million rows under a memory cap) comes on request.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from data import SETS, ensure
from table import Row, markdown

# By module; a file named `http` here would hide the standard library's.
PARTS = {"join": "join", "materialize": "materialize", "online": "online", "http": "serving"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="features", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--sizes", default="S,M,L,narrow,nyc", help="sets of the join, with commas")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "boxbench")
    parser.add_argument("--out", type=Path, help="a file for the table (standard output)")
    asked = parser.parse_args()
    asked.only, asked.sizes = asked.only.split(","), asked.sizes.split(",")
    for given, known in ((asked.only, tuple(PARTS)), (asked.sizes, tuple(SETS))):
        if unknown := set(given) - set(known):
            parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(known)}")
    return asked


def main() -> None:
    asked = arguments()
    needed = {"rows", "S", *asked.sizes} | ({"L"} if "narrow" in asked.sizes else set())
    ensure(asked.data, sorted(needed))
    load = f"load average {os.getloadavg()[0]:.1f} at the start"
    rows: list[Row] = []
    for part in asked.only:
        module = importlib.import_module(PARTS[part])
        extra = {"sets": asked.sizes} if part == "join" else {}
        rows += module.run(asked.data, asked.pairs, **extra)
    text = "\n".join(markdown(rows, load)) + "\n"
    if asked.out:
        asked.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
