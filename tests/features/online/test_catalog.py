"""The Feast-free copy of the registry: never older than it, never trusted when damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.features import catalog
from boxplat.features.registry import fingerprint
from boxplat.features.schema import Field

from .conftest import Maker
from .repositories import DEFINITIONS, ago, objects, write

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(fresh: Maker) -> Any:
    found = fresh()
    catalog.write(found)
    return found


@pytest.fixture
def repo(store: Any) -> Path:
    return Path(store.repo_path)


def file_of(repo: Path) -> Path:
    return repo / "data" / "online" / "tiny.catalog.json"


def test_what_is_in_it(store: Any, repo: Path) -> None:
    found = catalog.load(repo)
    assert found is not None and found.project == "tiny" and found.clock == "wall"
    assert set(found.views) == {"wide", "pair", "recent", "common", "kept"} and found.on_demand == ("summed",)
    assert found.views["pair"].keys == (Field("user", "INT64"), Field("shop", "STRING"))
    assert found.views["recent"].ttl_us == 3_600_000_000 and found.views["wide"].ttl_us is None
    assert found.views["common"].keys == ()
    assert found.push_sources == {"clicks_push": ("recent",)} and found.entities["shop_entity"] == "shop"
    assert found.sources["recent"] == catalog.Source("ts", "made", "data/recent.parquet", {})
    buyer, _ = found.services["trips_v1"].projections
    assert (buyer.alias, buyer.fields, dict(buyer.key_map)) == ("buyer", ("clicks",), {"user": "buyer_id"})
    assert not found.services["trips_v1"].on_demand and found.services["summed_v1"].on_demand
    assert catalog.Catalog.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert file_of(repo).stat().st_mode & 0o777 == 0o600


def test_a_materialization_does_not_make_it_old(store: Any, repo: Path) -> None:
    """Feast writes the registry anew then, though nothing is declared."""
    view = store.get_feature_view("recent")
    before = (repo / "data" / "registry.db").read_bytes()
    store.registry.apply_materialization(view, store.project, ago(hours=2), ago(hours=1), commit=True)
    assert (repo / "data" / "registry.db").read_bytes() != before
    assert catalog.load(repo) is not None


@pytest.mark.parametrize("change", ["ttl", "field", "service", "deleted"])
def test_an_apply_makes_it_old(store: Any, repo: Path, change: str) -> None:
    """Plain `feast apply` does not know of it; the next request through Feast writes it anew."""
    edits = {
        "ttl": ("ttl=timedelta(hours=1)", "ttl=timedelta(hours=2)"),
        "field": ('Field(name="rate", dtype=Float64)', 'Field(name="rate", dtype=Float32)'),
        "service": ("features=[recent, summed]", "features=[summed]"),
        "deleted": ("ready_v1 = ", "_ready_v1 = "),
    }
    (repo / "definitions.py").write_text(DEFINITIONS.replace(*edits[change]))
    gone = [store.get_feature_service("ready_v1")] if change == "deleted" else []
    store.apply(objects(repo), objects_to_delete=gone, partial=not gone)
    assert catalog.load(repo) is None
    store.get_online_features(["recent:clicks"], [{"user": 1}])
    found = catalog.load(repo)
    assert found is not None and ("ready_v1" in found.services) == (change != "deleted")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 0}', "\x00\xff", '{"format": 1, "views": 3}']
)
def test_damaged(repo: Path, text: str) -> None:
    file_of(repo).write_text(text)
    assert catalog.load(repo) is None


def test_of_another_version(repo: Path) -> None:
    text = json.loads(file_of(repo).read_text())
    file_of(repo).write_text(json.dumps({**text, "format": catalog.VERSION + 1}))
    assert catalog.load(repo) is None


def test_other_settings(repo: Path) -> None:
    """It is of this project in this folder; another clock or project is another catalog."""
    settings = repo / "feature_store.yaml"
    text = settings.read_text()
    for old, new in (
        ("path: data/online", "path: data/online, clock: materialization"),
        ("project: tiny", "project: huge"),
    ):
        settings.write_text(text.replace(old, new))
        assert catalog.load(repo) is None
    settings.write_text(text)
    assert catalog.load(repo) is not None


@pytest.mark.parametrize(
    "text", ["", "- 1", "project: tiny", "project: [", "project: tiny\nonline_store: {type: sqlite, path: x.db}\n"]
)
def test_settings_of_another_form(repo: Path, text: str) -> None:
    (repo / "feature_store.yaml").write_text(text)
    assert catalog.load(repo) is None


def test_variables_in_settings(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = repo / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("path: data/online", "path: ${ROWS_FOLDER}"))
    monkeypatch.setenv("ROWS_FOLDER", "data/online")
    assert catalog.load(repo) is not None


def test_no_registry(repo: Path) -> None:
    (repo / "data" / "registry.db").unlink()
    assert catalog.load(repo) is None


def test_a_folder_that_cannot_be_written(store: Any, repo: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Requests are answered all the same."""
    path = file_of(repo)
    path.unlink()
    path.mkdir()
    assert store.get_online_features(["recent:clicks"], [{"user": 1}]).to_dict() == {"user": [1], "clicks": [None]}
    assert "could not be written" in caplog.text


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_files_that_are_no_registry(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.db"
    path.write_bytes(data)
    found = fingerprint(path)
    assert found is None or len(found) == 64


def test_a_registry_cut_short(repo: Path) -> None:
    path = repo / "data" / "registry.db"
    whole = fingerprint(path)
    path.write_bytes(path.read_bytes()[:-40])
    assert fingerprint(path) != whole


PROGRAM = """
import sys
from boxplat.features import reader
answer = reader.open(sys.argv[1]).read(sys.argv[2], {"user": [1, 2], "shop": ["x", "x"]})
values, valid = answer.numpy("clicks")
print(answer.arrow("note"), values.tolist(), valid.tolist(), answer.statuses("spent").tolist())
print(sorted({"feast", "pandas", "duckdb", "sqlalchemy", "torch"} & set(sys.modules)))
"""


def test_a_reader_loads_neither_feast_nor_pandas(store: Any, repo: Path) -> None:
    """Each of them takes longer to load than a whole request may take."""
    write(store, "recent", [({"user": 1}, {"clicks": 5, "note": "n"}, ago(minutes=1))])
    argv = [sys.executable, "-c", PROGRAM, str(repo), "plain_v1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]" and "[5, 0] [True, False] [3, 3]" in done.stdout


def test_closed_views_need_feast(store: Any, repo: Path) -> None:
    """Feast refuses to serve a disabled view, and says why; the reader does not go round it."""
    from boxplat.features import reader

    view = store.get_feature_view("recent")
    view.enabled = False
    store.apply(view)
    catalog.write(store)
    found = reader.open(repo)
    assert found.at_once("recent:clicks", [{"user": 1}]) is None
    with pytest.raises(ValueError, match="disabled"):
        found.read("recent:clicks", [{"user": 1}])
    assert found.at_once("wide:whole", [{"user": 1}]) is not None and timedelta(0) == store.get_feature_view("wide").ttl
