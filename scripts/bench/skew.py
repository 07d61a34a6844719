"""How long `box features skew` takes for a million predictions of the sample's 49 features.

usage: python scripts/bench/skew.py PROJECT [--rows 1000000] [--changed 0]

PROJECT is a folder in which `flows/ingest.py` and `flows/features.py` have run. Nothing of it is changed: its feature
rows are read, a registry and a log are made in a temporary folder. The log holds what the offline store says, with
`origin_delay_60` off by one in the share `--changed` of the predictions.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import duckdb

from boxplat.core.config import Config, EndpointConfig
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply
from boxplat.features.repository import opened
from boxplat.features.skew import skew

SERVICE = "delay_v1"
KEYS = ("carrier", "flight", "origin", "dest", "sched", "network")


def silent(line: str) -> None:
    """Nobody looks at progress here."""


def made(paths: Paths, config: Config, rows: int, changed: float) -> None:
    """Write a log of so many flights, each as of an hour before its departure."""
    joined = paths.root / "joined.parquet"
    entities = (
        f"select carrier, flight, origin, dest, sched, 'nyc' as network, to_timestamp(60 * (sched - 60)) as "
        f"event_timestamp from read_parquet('{paths.data}/features/flight_schedule.parquet'), "
        f"range({rows // 300_000 + 1}) limit {rows}"
    )
    with opened(paths, config, silent) as store:
        store.get_historical_features(entities, store.get_feature_service(SERVICE)).to_parquet(joined)
    features = [
        name
        for (name, *_) in duckdb.sql(f"describe select * from '{joined}'").fetchall()
        if name not in (*KEYS, "event_timestamp")
    ]
    served = ", ".join(
        f"{name} := {name}{f' + (hash(n) % 1000 < {int(changed * 1000)})::int' if name == 'origin_delay_60' else ''}"
        for name in features
    )
    log = paths.state / "predictions" / "delay"
    log.mkdir(parents=True)
    duckdb.execute(
        f"""
        copy (
          select format('{{:016x}}', n) as id, 0::int as "row", 1::int as rows, event_timestamp as time,
            200::smallint as status, 'delay' as endpoint, 1::int as release, '{SERVICE}' as feature_service,
            event_timestamp as as_of, to_json(struct_pack({", ".join(f"{key} := {key}" for key in KEYS)})) as keys,
            to_json(struct_pack({served})) as features, null::varchar as ages
          from (select *, row_number() over () as n from '{joined}')
        ) to '{log}/made.parquet' (format parquet, compression zstd)
        """
    )
    joined.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=float, default=0.0)
    asked = parser.parse_args()
    config = Config(endpoints={"delay": EndpointConfig(feature_service=SERVICE)})
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder))
        state = StateStore.open(paths)
        shutil.copytree(asked.project / "feature_repo", paths.root / "feature_repo")
        (paths.data / "features").symlink_to((asked.project / ".box/data/features").resolve())
        apply(state, paths, config, "bench", silent)
        made(paths, config, asked.rows, asked.changed)
        began = time.perf_counter()
        report = skew(state, paths, config, "delay", "bench", limit=asked.rows)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(report)
        print(f"{report.predictions / seconds:,.0f} predictions/s, peak {peak:.1f} GiB in this process")
        state.close()


if __name__ == "__main__":
    main()
