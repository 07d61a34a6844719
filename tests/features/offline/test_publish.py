"""Files that appear whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pyarrow as pa
import pytest

from boxplat.features.offline.publish import published, write_table


def test_a_published_file_is_its_owners_only(tmp_path: Path) -> None:
    """Feature rows are as private as the folder that they came from, whatever the umask."""
    write_table(pa.table({"a": [1]}), tmp_path / "part.parquet")
    assert stat.S_IMODE((tmp_path / "part.parquet").stat().st_mode) == 0o600


def test_what_fails_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "part.parquet").write_bytes(b"old")
    with pytest.raises(KeyError), published(tmp_path / "part.parquet") as temporary:
        temporary.write_bytes(b"half")
        raise KeyError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
