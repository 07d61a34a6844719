"""Loads and reads of the online store that cannot be right: a four-part error, and the store stays as it was."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError
from tests.features.oracle.everywhere import BIG, FEATURES, ROWS, TYPES, Everywhere, made, rows
from tests.features.oracle.model import same

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
KEYS = [1, 2, 3, 9]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    repo = made(tmp_path_factory.mktemp("bad") / "repo")
    materialize(repo)
    yield repo
    repo.store.teardown()


def materialize(repo: Everywhere) -> None:
    repo.store.materialize(repo.moment - timedelta(days=1), repo.moment + timedelta(minutes=30))


@pytest.fixture
def kept(loaded: Everywhere) -> Iterator[Everywhere]:
    """The repository; whatever the test did to its source or tried to write, each value is still there afterwards."""
    before = loaded.online(KEYS)
    assert before["big"] == [BIG, None, -(2**63), None]
    source = loaded.repo / "data" / "exact.parquet"
    whole = source.read_bytes()
    yield loaded
    after = loaded.online(KEYS)
    source.write_bytes(whole)
    assert all(same(after[name], before[name]) for name in TYPES), after


def newer(repo: Everywhere, **columns: pa.Array | None) -> None:
    """Newer rows of keys 1 and 9 in the source, with columns in another way, or None: without them."""
    table = rows({1: ROWS[3], 9: ROWS[1]}, repo.moment + timedelta(minutes=10))
    for name, column in columns.items():
        place = table.column_names.index(name)
        table = table.remove_column(place) if column is None else table.set_column(place, name, column)
    pq.write_table(table, repo.repo / "data" / "exact.parquet")


def refused(act: Callable[[], Any], *words: str) -> None:
    with pytest.raises(BoxError) as caught:
        act()
    error = caught.value
    assert error.what and error.why and error.fix
    for word in words:
        assert word in str(error), error


@pytest.mark.parametrize("column", ["big", "key", "event_timestamp", "created"])
def test_a_source_without_a_column(kept: Everywhere, column: str) -> None:
    newer(kept, **{column: None})
    refused(lambda: materialize(kept), column, "exact")


WRONG: dict[str, pa.Array] = {
    "big": pa.array(["1", "many"]),
    "small": pa.array([1, 2**31]),
    "double": pa.array(["0.5", "x"]),
    "moment": pa.array(["2026-03-01", "soon"]),
    "bigs": pa.array([["x"], ["y"]]),
    "money": pa.array(["1.5", "ten"]),
    "key": pa.array(["a", "b"]),
}


@pytest.mark.parametrize("column", WRONG)
def test_a_source_with_a_column_of_another_type(kept: Everywhere, column: str) -> None:
    newer(kept, **{column: WRONG[column]})
    refused(lambda: materialize(kept), column, "exact")


def test_a_truncated_source(kept: Everywhere) -> None:
    newer(kept)
    path = kept.repo / "data" / "exact.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    refused(lambda: materialize(kept), "exact")


def test_a_source_with_broken_pages(kept: Everywhere) -> None:
    newer(kept)
    path = kept.repo / "data" / "exact.parquet"
    whole = bytearray(path.read_bytes())
    whole[4:600] = bytes(596)
    path.write_bytes(whole)
    refused(lambda: materialize(kept), "exact")


def test_a_source_that_is_gone(kept: Everywhere) -> None:
    path = kept.repo / "data" / "exact.parquet"
    whole = path.read_bytes()
    path.unlink()
    refused(lambda: materialize(kept), "exact")
    path.write_bytes(whole)


def test_a_disk_that_is_full(kept: Everywhere) -> None:
    """A limit on the size of files stops a process's writes as a full disk does: in the middle, with an OSError."""
    many = {n: ROWS[1] | {"text": "x" * 2_000} for n in range(2_000)}
    pq.write_table(rows(many, kept.moment + timedelta(minutes=10)), kept.repo / "data" / "exact.parquet")
    program = f"""
import sys
from datetime import datetime
from feast import FeatureStore
from boxplat.core.errors import BoxError
store = FeatureStore(repo_path={str(kept.repo)!r})
try:
    store.materialize(datetime.fromisoformat(sys.argv[1]), datetime.fromisoformat(sys.argv[2]))
except BoxError as error:
    print("REFUSED", bool(error.why and error.fix))
"""
    ends = [(kept.moment + timedelta(minutes=minutes)).isoformat() for minutes in (-60, 20)]

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    argv = [sys.executable, "-c", program, *ends]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, preexec_fn=limited)
    assert "REFUSED True" in done.stdout, done.stderr[-2_000:]


def test_after_all_that_a_good_load_still_works(loaded: Everywhere, tmp_path: Path) -> None:
    repo = made(tmp_path / "repo")
    newer(repo, big=None)
    refused(lambda: materialize(repo), "big")
    newer(repo)
    materialize(repo)
    assert repo.online([1, 9])["big"] == [ROWS[3]["big"], BIG]


@pytest.mark.parametrize(("feature", "told"), [("exact:bigg", "bigg"), ("exacd:big", "exacd"), ("exact", "exact")])
def test_a_feature_that_is_not_there(kept: Everywhere, feature: str, told: str) -> None:
    refused(lambda: kept.store.get_online_features(features=[feature], entity_rows=[{"key": 1}]), told)


@pytest.mark.parametrize("value", ["one", 1.5, b"1", [1], 2**63])
def test_a_key_of_another_type(kept: Everywhere, value: Any) -> None:
    refused(lambda: kept.store.get_online_features(features=FEATURES, entity_rows=[{"key": value}]).to_dict(), "key")


def test_a_request_without_its_key(kept: Everywhere) -> None:
    refused(lambda: kept.store.get_online_features(features=FEATURES, entity_rows=[{"kee": 1}]), "key")


def posted(repo: Everywhere, path: str, body: Any) -> tuple[int, str]:
    from starlette.testclient import TestClient

    from boxplat.features.server.routes import application

    with TestClient(application(repo.repo), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        content = body if isinstance(body, str) else json.dumps(body)
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
    return answer.status_code, str(answer.text)


REQUESTS: dict[str, Any] = {
    "no json": "{",
    "no object": [],
    "nothing": {},
    "no entities": {"features": FEATURES},
    "no features": {"entities": {"key": [1]}},
    "unknown feature": {"features": ["exact:bigg"], "entities": {"key": [1]}},
    "unknown view": {"features": ["exacd:big"], "entities": {"key": [1]}},
    "unknown service": {"feature_service": "none", "entities": {"key": [1]}},
    "text key": {"features": FEATURES, "entities": {"key": ["one"]}},
    "wide key": {"features": FEATURES, "entities": {"key": [2**63]}},
    "ragged": {"features": FEATURES, "entities": {"key": [1, 2], "other": [1]}},
}


@pytest.mark.parametrize("body", REQUESTS.values(), ids=REQUESTS)
def test_a_request_over_http_that_is_wrong(kept: Everywhere, body: Any) -> None:
    """It is the client's mistake, and the answer says which."""
    status, text = posted(kept, "/get-online-features", body)
    assert 400 <= status < 500 and "Traceback" not in text and len(text) > 2


def pushed(repo: Everywhere, **columns: Any) -> dict[str, Any]:
    moment = (repo.moment + timedelta(minutes=10)).isoformat()
    plain = {"key": [1], "event_timestamp": [moment], "created": [moment], **{name: [None] for name in TYPES}}
    frame = {name: values for name, values in {**plain, **columns}.items() if values is not None}
    return {"push_source_name": "pushed", "df": frame, "to": "online"}


PUSHES: dict[str, dict[str, Any]] = {
    "missing column": {"big": None},
    "missing key": {"key": None},
    "missing time": {"event_timestamp": None},
    "text for an integer": {"big": ["many"]},
    "too wide": {"small": [2**31]},
    "fraction for an integer": {"big": [1.5]},
    "no time": {"event_timestamp": ["soon"]},
    "null time": {"event_timestamp": [None]},
    "ragged": {"big": [1, 2]},
    "scalar for a list": {"bigs": [1]},
    "text for a list": {"bigs": [["x"]]},
}


@pytest.mark.parametrize("columns", PUSHES.values(), ids=PUSHES)
def test_a_push_that_is_wrong_changes_nothing(kept: Everywhere, columns: dict[str, Any]) -> None:
    status, text = posted(kept, "/push", pushed(kept, **columns))
    assert 400 <= status < 500 and "Traceback" not in text, (status, text)
