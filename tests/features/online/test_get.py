"""`box features get` over boxplat's store: the state of each value, and no Feast where none is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features import catalog, get

from . import repositories
from .repositories import ago, write

PROGRAM = """
import sys
from boxplat.cli import main
sys.argv = ["box", "features", "get", *sys.argv[1:]]
try:
    main()
finally:
    print(sorted({"feast", "duckdb", "sqlalchemy", "torch"} & set(sys.modules)), file=sys.stderr)
"""
ROWS = [{"user": 301}, {"user": 302}, {"user": 303}]


def filled(root: Path, kind: str) -> Paths:
    (root / "boxplat.toml").write_text('[project]\nname = "test"\n')
    store = repositories.make(root / "feature_repo", kind)
    write(store, "recent", [({"user": 301}, {"clicks": 1, "note": None}, ago(minutes=5))])
    write(store, "recent", [({"user": 302}, {"clicks": 2, "note": "old"}, ago(hours=2))])
    catalog.write(store)
    return Paths(root)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return filled(tmp_path_factory.mktemp("project"), repositories.BOX)


def check(found: list[dict[str, Any]]) -> None:
    assert [row["keys"] for row in found] == ROWS
    assert [row["features"] for row in found] == [
        {"recent__clicks": clicks, "recent__note": None} for clicks in (1, None, None)
    ]
    assert [row["status"] for row in found] == [
        {"recent__clicks": "PRESENT", "recent__note": "NULL_VALUE"},
        dict.fromkeys(("recent__clicks", "recent__note"), "OUTSIDE_MAX_AGE"),
        dict.fromkeys(("recent__clicks", "recent__note"), "NOT_FOUND"),
    ]
    ages = [row["age_seconds"]["recent"] for row in found]
    assert ages[0] == pytest.approx(300, abs=200) and ages[1] == pytest.approx(7200, abs=200) and ages[2] is None


@pytest.mark.parametrize("kind", [repositories.BOX, "sqlite"])
def test_states(tmp_path: Path, kind: str) -> None:
    """Feast's own stores do not enforce life times; the command tells them all the same."""
    check(get(filled(tmp_path, kind), Config(), "recent:clicks,recent:note", ROWS))


def test_the_command_does_without_feast(paths: Paths) -> None:
    argv = [sys.executable, "-c", PROGRAM, "recent:clicks,recent:note", json.dumps(ROWS), "--json"]
    done = subprocess.run(argv, cwd=paths.root, capture_output=True, text=True, check=True)
    check(json.loads(done.stdout)["rows"])
    assert done.stderr.splitlines()[-1] == "[]"


def test_on_demand_features_too(paths: Paths) -> None:
    found = get(paths, Config(), "summed_v1", [{"user": 301, "shop": "x", "extra": 1.0}])
    assert found[0]["features"] == {"recent__clicks": 1, "recent__note": None, "summed__total": None}
    assert found[0]["age_seconds"]["summed"] is None


@pytest.mark.parametrize(
    ("service", "keys", "code", "words"),
    [
        ("plain_v2", [{"user": 1}], ExitCode.NOT_FOUND, "did you mean 'plain_v1'"),
        ("recent:click", [{"user": 1}], ExitCode.NOT_FOUND, "did you mean 'clicks'"),
        ("recent:clicks", [{"usr": 1}], ExitCode.USAGE, "cannot be read without 'user'"),
        ("recent:clicks", [{"user": "one"}], ExitCode.USAGE, "key 'user' of row 0 is not INT64"),
        ("recent:clicks", [{"user": 1}, {}], ExitCode.USAGE, "different keys"),
    ],
)
def test_refused(paths: Paths, service: str, keys: list[dict[str, Any]], code: ExitCode, words: str) -> None:
    with pytest.raises(BoxError, match=words) as caught:
        get(paths, Config(), service, keys)
    assert caught.value.code is code
