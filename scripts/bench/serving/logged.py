"""The prediction log's cost: boxplat's server with it and without it, in turns.

usage: python scripts/bench/serving log [--ways asynchronous,batched] [--clients 32] [--pairs 5] [--seconds 5]
                                        [--sample 1.0] [--json FILE]

The log is on in one server and off in the other; the ratio of each pair of adjacent runs is what counts. At the end
the log's rows are counted beside the answers that were given.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from contenders import Contender
from contenders.boxplat import BOXPLAT
from figures import Figures, measured
from machine import described
from servers import Server, served
from tables import number, spread, table

LOG = "predictions"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="serving log", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ways", default="asynchronous,batched")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--sample", type=float, default=1.0, help="share of the requests that are logged")
    parser.add_argument("--model", default="small")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(served(one, place, {"BENCH_MODEL": asked.model})) for one in _both(asked)]
            found = {way: _pairs(servers, way, asked, place) for way in asked.ways.split(",")}
        log = place / "logging" / LOG
        written = sum(one.stat().st_size for one in log.rglob("*") if one.is_file()) / 2**20
        rows = _rows(log)
    print(described() + "\n")
    heads = (
        "API, clients",
        "without, requests/s",
        "with",
        "with / without",
        "CPU us, without, with",
    )
    print("\n".join(table(heads, (_cells(way, asked.clients, pairs) for way, pairs in found.items()))))
    # The one that told that the server is ready is an answer too.
    answered = 1 + sum(pair[1].answered for pairs in found.values() for pair in pairs)
    under_way = 2 * asked.clients * asked.pairs * len(found)
    print(f"\n{rows:,} rows of the log ({written:.1f} MiB) for {answered:,} answers that wrk counted; it ends its runs")
    print(f"without waiting for those under way, which are {under_way:,} at most. Share asked for: {asked.sample}.")
    if asked.json:
        told = {way: [[one.told() for one in pair] for pair in pairs] for way, pairs in found.items()}
        asked.json.write_text(json.dumps(told, indent=1))


def _both(asked: argparse.Namespace) -> tuple[Contender, Contender]:
    flags = ("--log", f"{{scratch}}/{LOG}", "--log-sample", str(asked.sample))
    return replace(BOXPLAT, name="plain"), replace(BOXPLAT, name="logging", command=(*BOXPLAT.command, *flags))


def _rows(log: Path) -> int:
    from boxplat.serving.log.reading import query

    return int(query(log, "select count(*) as found from requests")["found"][0].as_py()) if log.is_dir() else 0


def _pairs(servers: list[Server], name: str, asked: argparse.Namespace, scratch: Path) -> list[list[Figures]]:
    """Figures without and with the log; every other pair the other way round."""
    way = next(one for one in BOXPLAT.ways if one.name == name)
    found = []
    for repeat in range(asked.pairs):
        turn = servers if repeat % 2 == 0 else servers[::-1]
        pair = [measured(server, way, asked.clients, asked.seconds, scratch) for server in turn]
        found.append(pair if repeat % 2 == 0 else pair[::-1])
    return found


def _cells(way: str, clients: int, pairs: list[list[Figures]]) -> list[str]:
    without, with_log = ([pair[n] for pair in pairs] for n in (0, 1))
    ratios = [one.seen.rate / other.seen.rate for one, other in zip(with_log, without, strict=True)]
    rates = [number(statistics.median(one.seen.rate for one in runs)) for runs in (without, with_log)]
    spent = ", ".join(number(statistics.median(one.cpu_us for one in runs)) for runs in (without, with_log))
    return [f"{way}, {clients}", *rates, spread(ratios), spent]
