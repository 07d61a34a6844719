"""Columns without Feast: the same answers as through it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features import catalog, reader

from .conftest import Maker
from .repositories import DEFINITIONS, ago, objects, write

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
US = int(MOMENT.timestamp() * 1_000_000)
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def filled(box: Any) -> Any:
    catalog.write(box)
    rows = [({"user": user}, {"clicks": user, "note": None if user % 2 else "n"}, MOMENT) for user in (201, 202)]
    write(box, "recent", rows)
    write(box, "pair", [({"user": 201, "shop": "x"}, {"spent": 2.5}, MOMENT)])
    write(box, "common", [({}, {"rate": 0.5}, MOMENT)])
    return box


@pytest.fixture(scope="module")
def found(filled: Any) -> reader.Reader:
    return reader.open(filled.repo_path)


@pytest.mark.parametrize(
    ("features", "full"),
    [
        ("plain_v1", False),
        ("plain_v1", True),
        ("trips_v1", True),
        ("recent:note, common:rate", False),
        (["pair:spent", "recent:clicks"], True),
        ("summed_v1", False),
    ],
)
def test_as_through_feast(filled: Any, found: reader.Reader, features: Any, full: bool) -> None:
    """Names, order and values; on-demand features too, for which it asks Feast."""
    keys = {
        "user": [201, 202, 203],
        "shop": ["x"] * 3,
        "buyer_id": [201] * 3,
        "seller_id": [202] * 3,
        "extra": [1.0] * 3,
    }
    wanted: Any = filled.get_feature_service(features) if features in ("plain_v1", "trips_v1", "summed_v1") else None
    references = features.split(", ") if isinstance(features, str) else features
    theirs = filled.get_online_features(wanted or references, keys, full_feature_names=full)
    answer = found.read(features, keys, full_feature_names=full)
    assert answer.to_dict() == theirs.to_dict()
    assert {name: answer.arrow(name).to_pylist() for name in answer.names} == {
        name: answer.python(name) for name in answer.names
    }
    assert (found.at_once(features, keys, full_feature_names=full) is None) == (features == "summed_v1")


def test_as_of_a_moment(found: reader.Reader) -> None:
    """Ages against one moment, or against one for each row; the life time of `recent` is one hour, to the us."""
    keys = {"user": [201, 202, 203]}
    answer = found.read("recent:clicks", keys, now_us=US + HOUR_US)
    assert answer.python("clicks") == [201, 202, None] and answer.statuses("clicks").tolist() == [1, 1, 3]
    assert answer.age_seconds("clicks")[:2].tolist() == [3600.0, 3600.0] and np.isnan(answer.age_seconds("clicks")[2])
    assert answer.event_us("clicks").tolist() == [US, US, 0]
    late = found.read("recent:clicks", keys, now_us=US + HOUR_US + 1)
    assert late.python("clicks") == [None] * 3 and late.statuses("clicks").tolist() == [4, 4, 3]
    each = found.read("recent:clicks", keys, now_us=np.array([US + 1, US + 2 * HOUR_US, US]))
    assert each.python("clicks") == [201, None, None] and each.age_seconds("clicks")[0] == 1e-6


def test_columns(found: reader.Reader) -> None:
    answer = found.read("recent:clicks,recent:note", {"user": np.array([202, 201, 9])}, now_us=US)
    values, valid = answer.numpy("clicks")
    assert values.dtype == np.int64 and values.tolist() == [202, 201, 0] and valid.tolist() == [True, True, False]
    assert answer.statuses("note").tolist() == [1, 2, 3]
    assert answer.to_arrow().schema == pa.schema({"clicks": pa.int64(), "note": pa.string()})
    assert answer.keys == {"user": [202, 201, 9]} and answer.views == {"clicks": "recent", "note": "recent"}


@pytest.mark.parametrize(
    ("features", "code", "words"),
    [
        ("plain_v2", ExitCode.NOT_FOUND, "did you mean 'plain_v1'"),
        ("recnt:clicks", ExitCode.NOT_FOUND, "did you mean 'recent'"),
        ("recent:clickz", ExitCode.NOT_FOUND, "did you mean 'clicks'"),
        ("recent:clicks,recent:clicks", ExitCode.USAGE, "several features would be called clicks"),
    ],
)
def test_unknown_features(found: reader.Reader, features: str, code: ExitCode, words: str) -> None:
    with pytest.raises(BoxError, match=words) as caught:
        found.read(features, {"user": [1]})
    assert caught.value.code is code


@pytest.mark.parametrize("method", ["numpy", "arrow", "python", "statuses", "event_us", "age_seconds"])
def test_a_feature_that_was_not_asked_for(found: reader.Reader, method: str) -> None:
    answer = found.read("recent:clicks", {"user": [1]})
    with pytest.raises(BoxError, match=r"no feature 'recent:clicks' \(did you mean 'clicks'"):
        getattr(answer, method)("recent:clicks")


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(BoxError, match="no Feast repository"):
        reader.open(tmp_path)


def test_a_registry_that_changes(fresh: Maker) -> None:
    """An open reader follows an apply as soon as its catalog is there, and serves what it knew until then."""
    store = fresh()
    catalog.write(store)
    repo = Path(store.repo_path)
    found = reader.open(repo)
    write(store, "recent", [({"user": 1}, {"clicks": 1, "note": "n"}, ago(hours=2))])
    assert found.read("recent:clicks", [{"user": 1}]).statuses("clicks").tolist() == [4]
    (repo / "definitions.py").write_text(DEFINITIONS.replace("ttl=timedelta(hours=1)", "ttl=timedelta(hours=3)"))
    store.apply(objects(repo))
    assert found.at_once("ready_v1", [{"user": 1}]) is not None
    catalog.write(store)
    assert found.read("recent:clicks", [{"user": 1}]).python("clicks") == [1]


def test_another_store_than_ours(stock: Any) -> None:
    """Feast answers then, in the same form; life times hold there too."""
    rows = [({"user": 211}, {"clicks": 1, "note": None}, ago(minutes=1)), ({"user": 212}, {"clicks": 2}, ago(hours=2))]
    write(stock, "recent", rows)
    found = reader.open(stock.repo_path)
    assert found.at_once("recent:clicks", [{"user": 211}]) is None
    answer = found.read("recent:clicks,recent:note", {"user": [211, 212, 213]})
    assert answer.to_dict() == {"user": [211, 212, 213], "clicks": [1, None, None], "note": [None] * 3}
    assert answer.statuses("clicks").tolist() == [1, 4, 3] and answer.statuses("note").tolist()[0] == 2
    values, valid = answer.numpy("clicks")
    assert values.tolist() == [1, 0, 0] and valid.tolist() == [True, False, False]
    assert answer.age_seconds("clicks")[0] == pytest.approx(60, abs=60)
    with pytest.raises(BoxError, match="did you mean 'plain_v1'"):
        found.read("plain_v2", {"user": [1]})


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [("online_store:", "online_store: [:", "ParserError"), ("BoxOnlineStore", "BoxOnlinStore", "BoxOnlinStore")],
)
def test_settings_that_cannot_be_read(tmp_path: Path, before: str, after: str, why: str) -> None:
    """Serving code is told the file, also where only Feast finds the fault."""
    settings = tmp_path / "feature_store.yaml"
    text = "project: x\nprovider: local\nregistry: r.db\nonline_store:\n  type: boxplat.features.BoxOnlineStore\n"
    settings.write_text(text.replace(before, after))
    with pytest.raises(BoxError, match=r"feature_store\.yaml") as caught:
        reader.open(tmp_path).read(["a:b"], {"k": [1]})
    assert why in caught.value.why and caught.value.code is ExitCode.USAGE
