"""A request is resolved once, and again as soon as the registry has changed, whoever changed it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from .conftest import Maker
from .repositories import DEFINITIONS, ago, objects, write

READ = """
import json, sys
from boxplat.features import reader
found = reader.open(sys.argv[1])
for line in sys.stdin:
    answer = found.read("recent:clicks", {"user": [json.loads(line)]})
    print(json.dumps([answer.python("clicks"), "feast" in sys.modules]), flush=True)
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(fresh: Maker) -> Any:
    found = fresh()
    write(found, "recent", [({"user": 1}, {"clicks": 1, "note": "n"}, ago(hours=2))])
    write(found, "common", [({}, {"rate": 0.5}, ago(hours=2))])
    return found


def test_the_registry_is_asked_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the request's form, and for every copy of the service."""
    requests: list[Any] = [["recent:clicks"], store.get_feature_service("plain_v1")]
    for features in requests:
        store.get_online_features(features, [{"user": 1, "shop": "x"}])
    again = store.get_feature_service("plain_v1")
    registry = type(store.registry)
    for name in ("get_any_feature_view", "get_feature_service", "list_entities"):
        monkeypatch.setattr(registry, name, lambda *_, **__: pytest.fail("the registry was asked again"))
    for features in [*requests, again]:
        store.get_online_features(features, [{"user": 1, "shop": "x"}])


def test_a_change_by_this_process(store: Any) -> None:
    assert store.get_online_features(["recent:clicks"], [{"user": 1}]).to_dict()["clicks"] == [None]
    view = store.get_feature_view("recent")
    view.ttl = timedelta(hours=3)
    store.apply(view)
    assert store.get_online_features(["recent:clicks"], [{"user": 1}]).to_dict()["clicks"] == [1]


def test_a_service_that_grows(store: Any) -> None:
    """The caller's old copy names the service; what it holds is the registry's to say, as in Feast."""
    repo = Path(store.repo_path)
    before = list(
        store.get_online_features(store.get_feature_service("plain_v1"), [{"user": 1, "shop": "x"}]).to_dict()
    )
    changed = DEFINITIONS.replace('pair[["spent"]], common]', "common]")
    (repo / "definitions.py").write_text(changed)
    store.apply(objects(repo))
    after = list(store.get_online_features(store.get_feature_service("plain_v1"), [{"user": 1, "shop": "x"}]).to_dict())
    assert "spent" in before and "spent" not in after


def test_a_change_by_somebody_else(store: Any) -> None:
    """Who shares only the files applies: this store serves the new life time and the new feature at its next read."""
    from feast import FeatureStore

    repo = Path(store.repo_path)
    assert store.get_online_features(["recent:clicks"], [{"user": 1}]).to_dict()["clicks"] == [None]
    changed = DEFINITIONS.replace("ttl=timedelta(hours=1)", "ttl=timedelta(hours=3)").replace(
        'Field(name="note", dtype=String)', 'Field(name="note", dtype=String), Field(name="more", dtype=Int64)'
    )
    (repo / "definitions.py").write_text(changed)
    FeatureStore(repo_path=str(repo)).apply(objects(repo))
    answer = store.get_online_features(["recent:clicks", "recent:more"], [{"user": 1}])
    assert answer.to_dict() == {"user": [1], "clicks": [1], "more": [None]}


def test_a_view_that_is_deleted(store: Any) -> None:
    from feast.errors import FeatureViewNotFoundException

    view, on_demand = store.get_feature_view("pair"), store.get_on_demand_feature_view("summed")
    store.get_online_features(["pair:spent"], [{"user": 1, "shop": "x"}])
    store.apply([], objects_to_delete=[view, on_demand], partial=False)
    with pytest.raises(FeatureViewNotFoundException):
        store.get_online_features(["pair:spent"], [{"user": 1, "shop": "x"}])


def test_a_teardown(store: Any) -> None:
    from boxplat.features.online.plugin import folder

    assert folder(store.config).is_dir()
    store.teardown()
    assert not folder(store.config).exists()


def test_pushes_are_seen_by_another_process(store: Any) -> None:
    """At once, by a process that has never loaded Feast and has read the same row before."""
    import pandas as pd

    store.get_online_features(["recent:clicks"], [{"user": 1}])
    argv = [sys.executable, "-c", READ, str(store.repo_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as reading:
        assert reading.stdin and reading.stdout

        def read() -> Any:
            print(1, file=reading.stdin, flush=True)
            return json.loads(reading.stdout.readline())

        assert read() == [[None], False]
        for clicks in (5, 6):
            moment = pd.Timestamp.now(tz="UTC")
            frame = pd.DataFrame({"user": [1], "clicks": [clicks], "note": ["n"], "ts": [moment], "made": [moment]})
            store.push("clicks_push", frame)
            assert read() == [[clicks], False]
        reading.stdin.close()
