"""What cannot be joined is refused in words that name the place and the way out, and leaves nothing behind."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.join import EntityQuery, History, Options, join, stream, write
from tests.features.join.small import NOON, US, asked, at, wrote


@pytest.fixture
def history(tmp_path: Path) -> History:
    return wrote(tmp_path, pa.table({"k": [1, 2], "t": pa.array([NOON] * 2, US), "v": [10, 20], "text": ["a", "b"]}))


def refused(entity: Any, history: History, timestamp: str = "when", **options: Any) -> BoxError:
    with pytest.raises(BoxError) as caught:
        join(entity, timestamp, [history], Options(**options))
    assert caught.value.fix and caught.value.why
    return caught.value


def test_missing_columns_are_named_with_the_nearest(history: History) -> None:
    entity = asked([1], [at(1)])
    for changed in (
        replace(history, features=(("txt", "x"),)),
        replace(history, keys=(("kk", "k"),)),
        replace(history, timestamp="tt"),
        replace(history, created="tc"),
    ):
        error = refused(entity, changed)
        assert "view" in error.what and error.code == ExitCode.USAGE
    assert "did you mean 'text'" in refused(entity, replace(history, features=(("txt", "x"),))).what
    assert "entity rows" in refused(entity, replace(history, keys=(("k", "key"),))).what
    assert "'wen'" in refused(entity, history, "wen").what


def test_keys_that_cannot_be_compared_name_both_types(history: History) -> None:
    for keys in (["1"], [b"1"], [True], [NOON]):
        error = refused(asked(keys, [at(1)]), history)
        assert "int64" in error.why and str(pa.array(keys).type) in error.why
        assert error.code == ExitCode.USAGE


def test_times_that_are_none(history: History) -> None:
    assert "int64" in refused(pa.table({"k": [1], "when": [5]}), history).what
    assert "noon" in refused(asked([1, 1], ["2024-03-10", "noon"], pa.string()), history).why
    assert "'v'" in refused(asked([1], [at(1)]), replace(history, timestamp="v")).what


def test_two_columns_under_one_name(history: History) -> None:
    entity = asked([1], [at(1)])
    assert "'when'" in refused(entity, replace(history, features=(("v", "when"),))).what
    assert "'v'" in refused(entity, replace(history, features=(("v", "v"), ("text", "v")))).what
    assert "'k'" in refused(pa.table([[1], [1], [NOON]], names=["k", "k", "when"]), history).what


def test_damaged_and_missing_files_are_named(history: History, tmp_path: Path) -> None:
    entity = asked([1], [at(1)])
    path = Path(history.files[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert str(path) in refused(entity, history).what
    path.write_bytes(b"")
    assert str(path) in refused(entity, history).what
    content = bytearray(whole)
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)
    for plan in ("sort", "sql"):
        assert "part-0.parquet" in str(refused(entity, history, plan=plan))
    path.unlink()
    assert str(path) in refused(entity, history).what
    nothing = refused(entity, replace(history, files=(str(tmp_path / "none" / "*.parquet"),)))
    assert nothing.code == ExitCode.NOT_FOUND


def test_types_of_part_files_with_nothing_in_common(tmp_path: Path) -> None:
    times = pa.array([NOON], US)
    history = wrote(tmp_path, pa.table({"k": [1], "t": times, "v": [1]}), pa.table({"k": [1], "t": times, "v": ["a"]}))
    error = refused(asked([1], [at(1)]), history)
    assert "'v'" in error.what and "int64" in error.what and "string" in error.what


def test_queries_that_fail_and_options_that_do_not_exist(history: History) -> None:
    entity = asked([1], [at(1)])
    assert "view" in refused(entity, replace(history, files=(), query="SELECT * FROM nowhere")).what
    assert "entity rows" in refused(EntityQuery("SELEC 1"), history).what
    assert "much" in refused(entity, history, memory_limit="much").what
    assert "no_such_option" in refused(entity, history, plan="sql", settings={"no_such_option": "1"}).what


def test_a_stream_refuses_before_its_first_batch(history: History) -> None:
    with pytest.raises(BoxError):
        stream(asked(["1"], [at(1)]), "when", [history])


def test_a_disk_without_space_for_spilling_names_the_folder(tmp_path: Path, history: History) -> None:
    query = "SELECT (i % 7)::BIGINT AS k, TIMESTAMP '2024-01-01' + to_seconds(i) AS t, i AS v FROM range(3000000) r(i)"
    options = {
        "memory_limit": "100MB",
        "temp_directory": str(tmp_path / "spill"),
        "settings": {"max_temp_directory_size": "1MB"},
    }
    error = refused(asked([1], [at(1)]), replace(history, files=(), query=query), plan="sql", **options)
    assert str(tmp_path / "spill") in str(error)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out" / "result.parquet"
    target.parent.mkdir()
    entity = asked([1], [at(1)])
    assert write(entity, "when", [history], path=target) == 1
    before = target.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(BoxError, match="no space left") as caught:
        write(entity, "when", [history], path=target)
    assert str(target.parent) in caught.value.what
    assert [path.name for path in target.parent.iterdir()] == ["result.parquet"]
    assert target.read_bytes() == before


def test_a_folder_that_does_not_exist(tmp_path: Path, history: History) -> None:
    with pytest.raises(BoxError, match="cannot write"):
        write(asked([1], [at(1)]), "when", [history], path=tmp_path / "none" / "x.parquet")


def test_a_killed_write_leaves_nothing_under_the_name(tmp_path: Path, history: History) -> None:
    target = tmp_path / "result.parquet"
    program = f"""
import os, signal
import pyarrow.parquet as pq
from pathlib import Path
from boxplat.features.join import EntityQuery, History, write
real = pq.ParquetWriter.write_table
def killed(self, *args, **kwargs):
    real(self, *args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
pq.ParquetWriter.write_table = killed
entity = EntityQuery("SELECT 1 AS k, TIMESTAMP '2024-03-11' AS at")
write(entity, "at", [{history!r}], path=Path({str(target)!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
