"""Whatever a manifest looks like, a check ends and says something; no unknown field goes unseen."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.export.check import RULES, schemas
from boxplat.export.check.folder import Folder
from boxplat.export.check.model import Manifest, Manifests
from boxplat.export.pointers import Pointer, at, leaves, nodes

pytestmark = pytest.mark.integration
# Session fixtures only read.
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.just([]), st.just({}),
    st.just([None]), st.just(["x"]), st.just({"name": 1}), st.just([{"name": None}]), st.just([[{"x": []}]]),
).map(copy.deepcopy)  # fmt: skip
# What users put there is their own.
OPEN = {"labels", "annotations", "matchLabels", "data", "requests", "limits", "hard", "nodeSelector", "hooks"}
OPEN |= {"selector", "default", "defaultRequest", "emptyDir", "params"}


def _copy(one: Manifest) -> Any:
    return json.loads(json.dumps(one.document))


def _put(document: Any, path: Pointer, value: Any) -> None:
    at(document, *path[:-1])[path[-1]] = value


@QUICK
@given(data=st.data())
def test_no_shape_of_a_manifest_breaks_a_rule_itself(folder: Folder, data: st.DataObject) -> None:
    every = folder.overlays["prod"].all
    index = data.draw(st.integers(0, len(every) - 1))
    document = _copy(every[index])
    spots = [path[:cut] for path, _ in leaves(document) for cut in range(1, len(path) + 1)]
    for path in data.draw(st.lists(st.sampled_from([s for s in spots if s != ("metadata",)]), min_size=1, max_size=3)):
        if isinstance(at(document, *path[:-1]), dict | list) and at(document, *path) is not None:
            _put(document, path, data.draw(JUNK))
    broken = Manifest(document)
    few = Manifests((*every[:3], *(one for one in every if one.kind in ("Service", "Deployment")), broken), folder.lock)
    for rule in RULES:
        for _, what in rule.document(broken) if rule.document is not None else ():
            assert what
        for _, _, what in rule.whole(few) if rule.whole is not None else ():
            assert what


@QUICK
@given(data=st.data())
def test_an_unknown_field_anywhere_is_found(folder: Folder, data: st.DataObject) -> None:
    every = [one for one in folder.overlays["prod"].all if one.kind not in ("Sensor", "EventSource", "EventBus")]
    document = _copy(data.draw(st.sampled_from(every)))
    spots = [path for path, _ in nodes(document) if path != ("metadata",) and not OPEN & set(path)]
    at(document, *data.draw(st.sampled_from(spots)))["unknwon"] = "x"
    assert list(schemas.faults([Manifest(document)]))
