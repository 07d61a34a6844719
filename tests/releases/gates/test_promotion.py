"""Promotions and ways back in a running box: real models, the real registry, an endpoint that follows the alias."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from boxplat.adapters.tracking_api import TrackingApi
from boxplat.box import Box
from boxplat.core.errors import BoxError, ExitCode
from boxplat.releases.promotion import Step
from tests.conftest import run_box
from tests.releases.conftest import write_bento
from tests.releases.test_deploy import BROKEN, post, serving, tracking

pytestmark = pytest.mark.integration
SETTINGS = """
[project]
name = "promotions"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.adder]
bento = "bentos/adder"
model = "toy"
port = 0
watch = ""
warmup = 0
[endpoints.idle]
bento = "bentos/adder"
model = "toy"
[gates.toy]
data = "gated:held_out"
margin = 0.01
slices = ["side"]
size_mib = 1
leakage = false
"""
GATED = """
import numpy as np

def held_out(model):
    print("held-out rows for", sorted(path.name for path in model.iterdir()))
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1500, 2)).astype(np.float32)
    labels = (rows[:, 0] + rng.normal(size=1500) > 0).astype(float)
    return {"rows": rows, "labels": labels, "slice.side": np.where(rows[:, 1] > 0, "up", "down"),
            "time": np.arange(1500.0)}
"""
POOR, FAIR, GOOD = (0.3, 1.0), (1.0, 0.4), (1.0, 0.0)


def model(weights: tuple[float, float]) -> bytes:
    """A logistic regression as ONNX."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["p"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])]
    outputs = [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 1])]
    constant = onnx.numpy_helper.from_array(np.array(weights, np.float32).reshape(2, 1), "w")
    graph = helper.make_graph(nodes, "toy", inputs, outputs, [constant])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("promotions")
    (root / "boxplat.toml").write_text(SETTINGS)
    (root / "flows").mkdir()
    (root / "flows" / "gated.py").write_text(GATED)
    write_bento(root / "bentos" / "adder")
    found = Box(root, by="test")
    found.up(detach=True)
    try:
        found.wait(timeout=300)
        post(tracking(found), "registered-models/create", name="toy")
        for weights in (FAIR, GOOD, POOR):
            register(found, model(weights))
        yield found
    finally:
        found.down()


def register(box: Box, content: bytes, file: str = "model.onnx", **tags: str) -> int:
    url = tracking(box)
    run = post(url, "runs/create", experiment_id="0", start_time=0)["run"]["info"]
    source = f"{run['artifact_uri']}/{file}"
    made = post(url, "model-versions/create", name="toy", source=source, run_id=run["run_id"])["model_version"]
    api, number = TrackingApi(url), str(made["version"])
    api.upload(api.location("toy", number), file, content)
    api.tag_version("toy", number, tags)
    return int(number)


def holder(box: Box) -> int | None:
    return next((one.version for one in box.models.show("toy") if "champion" in one.aliases), None)


def entries(box: Box) -> list[Any]:
    return box.state.record.entries("model/toy")


def refused(call: Callable[[], object]) -> BoxError:
    with pytest.raises(BoxError) as caught:
        call()
    return caught.value


def test_the_first_version_is_promoted_against_the_constant_answer(box: Box) -> None:
    found = box.models.promote(Step("toy", "1"))
    assert found.moved and found.former is None and holder(box) == 1
    assert found.waiting == ("adder", "idle") and not found.releases
    entry = entries(box)[-1]
    assert (entry.kind, entry.by, entry.data["version"], entry.data["former"]) == ("model.promoted", "test", 1, None)
    assert {gate["gate"] for gate in entry.data["gates"]} >= {"metric", "slice side", "size"}
    assert box.events(subject="model/toy")[-1].kind == "model.promoted"


def test_a_worse_version_is_refused_with_its_table_and_changes_nothing(box: Box) -> None:
    before = len(entries(box))
    done = run_box(box.root, "models", "promote", "toy", "3", "--dry-run", "--json")
    assert done.returncode == 5, done.stderr
    shown = json.loads(done.stdout)["promotion"]
    metric = next(gate for gate in shown["judgement"]["gates"] if gate["name"] == "metric")
    assert metric["outcome"] == "refused" and metric["numbers"]["gain"][2] < -0.01
    assert len(entries(box)) == before
    done = run_box(box.root, "models", "promote", "toy", "3")
    assert done.returncode == 5 and "REFUSED" not in done.stdout and "refused" in done.stdout
    assert "why:" in done.stderr and "--force --reason" in done.stderr
    assert holder(box) == 1 and entries(box)[-1].kind == "model.refused"


def test_a_better_version_gets_the_alias_and_the_endpoint(box: Box) -> None:
    assert box.deploy("adder").model_version == 1
    found = box.models.promote(Step("toy", "2"))
    assert found.moved and holder(box) == 2 and list(found.releases) == ["adder"] and found.waiting == ("idle",)
    assert found.judgement is not None and found.judgement.champion == 1
    assert serving(box)["BOXPLAT_MODEL_URI"] == "models:/toy/2"
    assert box.models.promote(Step("toy", "2")).moved is False


def test_force_needs_a_reason_and_is_recorded_with_what_it_overrode(box: Box) -> None:
    assert refused(lambda: box.models.promote(Step("toy", "3", force=True))).code is ExitCode.USAGE
    found = box.models.promote(Step("toy", "3", force=True, reason="a demo"))
    assert found.forced and holder(box) == 3
    data = entries(box)[-1].data
    assert data["forced"] and data["reason"] == "a demo" and data["passed"] is False
    assert [gate["passed"] for gate in data["gates"] if gate["gate"] == "metric"] == [False]


def test_ways_back_go_further_each_time_and_take_the_endpoint_along(box: Box) -> None:
    assert box.models.rollback("toy", reason="it was worse").version == 2
    assert serving(box)["BOXPLAT_MODEL_URI"] == "models:/toy/2"
    assert box.models.rollback("toy").version == 1 and holder(box) == 1
    assert refused(lambda: box.models.rollback("toy")).code is ExitCode.NOT_FOUND
    assert [one.kind for one in entries(box)[-2:]] == ["rollback", "rollback"]


def test_an_endpoint_that_cannot_be_deployed_puts_the_alias_back(box: Box) -> None:
    service = box.root / "bentos" / "adder" / "service.py"
    good = service.read_text()
    service.write_text(BROKEN)
    try:
        error = refused(lambda: box.models.promote(Step("toy", "2", timeout=240)))
    finally:
        service.write_text(good)
    assert "champion is back at version 1" in error.what and "no weights" in error.why
    assert holder(box) == 1 and serving(box)["BOXPLAT_MODEL_URI"] == "models:/toy/1"
    moved, back = entries(box)[-2:]
    assert moved.data["version"] == 2 and back.data["version"] == 1 and back.data["back"]


def test_an_alias_moved_by_somebody_else_is_noticed(box: Box) -> None:
    post(tracking(box), "registered-models/alias", name="toy", alias="champion", version="3")
    found = box.models.promote(Step("toy", "2"))
    assert found.moved and found.former == 3
    seen = entries(box)[-2]
    assert (seen.kind, seen.by, seen.data["version"], seen.data["former"]) == ("model.alias", "unknown", 3, 1)
    post(tracking(box), "registered-models/alias", name="toy", alias="champion", version="1")
    same = box.models.promote(Step("toy", "1"))
    assert not same.moved and "already" in same.unjudged and list(same.releases) == ["adder"]
    assert (entries(box)[-1].data["version"], entries(box)[-1].by) == (1, "unknown")
    assert box.models.promote(Step("toy", "2")).former == 1


def test_what_cannot_be_judged_is_not_promoted(box: Box) -> None:
    pickled = register(box, b"\x80\x04.", "model.pkl")
    error = refused(lambda: box.models.promote(Step("toy", str(pickled))))
    assert "pickle" in error.why and holder(box) == 2
    late = register(box, model(GOOD), training_until="2013-01-01")
    error = refused(lambda: box.models.promote(Step("toy", str(late))))
    assert error.code is ExitCode.PRECONDITION and "training data" in error.what
    odd = register(box, model(GOOD), training_until="last autumn")
    assert "no ISO time" in refused(lambda: box.models.promote(Step("toy", str(odd)))).why
    assert "did you mean 'champion'" in refused(lambda: box.models.promote(Step("toy", "champoin"))).what


def test_rows_that_the_version_was_trained_on_are_left_out(box: Box) -> None:
    seen = register(box, model(GOOD), training_until="1970-01-01T00:10:00+00:00")
    judged = box.models.promote(Step("toy", str(seen), dry_run=True)).judgement
    assert judged is not None and (judged.rows, judged.left_out) == (900, 600)


def test_gates_and_rows_that_make_no_sense_are_told(box: Box) -> None:
    settings = box.root / "boxplat.toml"
    good = settings.read_text()
    for old, new, code, says in (
        ("size_mib", "size_mb", 2, "did you mean 'size_mib'?"),
        ("[gates.toy]", "[gates.other]", 2, "no gates are declared for model toy"),
        ("margin = 0.01", 'metric = "acu"', 2, "did you mean 'auc'?"),
        ("margin = 0.01", 'require = { auc = "high" }', 2, "is no number"),
        ('"gated:held_out"', '"gated:heldout"', 1, "heldout"),
        ('"gated:held_out"', '"rows.npz"', 9, "rows.npz"),
        ('"gated:held_out"', '""', 4, "no held-out rows"),
    ):
        settings.write_text(good.replace(old, new))
        error = refused(lambda: Box(box.root).models.promote(Step("toy", "1", dry_run=True)))
        assert (error.code, says in str(error)) == (code, True), error
    settings.write_text(good)


def test_two_promotions_at_once_do_not_undo_each_other(box: Box, tmp_path: Path) -> None:
    with (box.paths.state / "promote-toy.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another command is moving an alias of toy" in refused(lambda: box.models.promote(Step("toy", "1"))).what
