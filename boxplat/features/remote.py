"""DuckDB at an object store: by its own extension where that is installed, by Arrow's S3 client where it is not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from boxplat.core.errors import BoxError, ExitCode

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyarrow.fs import S3FileSystem

S3 = "s3://"


def load_remote(con: DuckDBPyConnection, paths: Iterable[str] = ()) -> None:
    """Let a connection read URLs.

    DuckDB's extension for them is downloaded from the internet, so a machine may not have it. Then S3 is read through
    Arrow, if AWS's variables have a key (`AWS_ACCESS_KEY_ID`, …); `AWS_ENDPOINT_URL` is another server than AWS's.

    Args:
        paths: those that are known already; other kinds of address than S3's need the extension.

    Raises:
        BoxError: the extension is needed and not installed (exit code 4).
    """
    import duckdb

    try:
        con.execute("LOAD httpfs")
    except duckdb.Error as error:
        known = [path for path in paths if "://" in path]
        if "AWS_ACCESS_KEY_ID" in os.environ and known and all(path.startswith(S3) for path in known):
            _through_arrow(con, known[0])
            return
        raise BoxError(
            "remote files cannot be read: DuckDB's extension httpfs is not installed",
            why=str(error).splitlines()[0],
            fix="python -c \"import duckdb; duckdb.sql('INSTALL httpfs')\"  (once, with internet)",
            code=ExitCode.PRECONDITION,
        ) from error


def store(url: str) -> S3FileSystem:
    """Arrow's client for a bucket (`s3://bucket/…`), as AWS's variables say; AWS itself is asked for its region."""
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    address = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", ""))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if address.netloc:
        return S3FileSystem(region=region, endpoint_override=address.netloc, scheme=address.scheme)
    return S3FileSystem(region=region or resolve_s3_region(urlsplit(url).netloc))


def _through_arrow(con: DuckDBPyConnection, path: str) -> None:
    from fsspec.implementations.arrow import ArrowFSWrapper  # type: ignore[import-untyped]

    if "s3" in con.list_filesystems():
        return
    # DuckDB asks the file system itself which addresses are its own.
    kind = type("ArrowS3", (ArrowFSWrapper,), {"protocol": "s3"})
    con.register_filesystem(kind(store(path)))
