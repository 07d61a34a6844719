"""What is loaded, what is refused, and what happens when the chosen back end cannot run."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from boxplat.core.errors import BoxError
from boxplat.serving import backends
from boxplat.serving.backends.choice import Choice, machine
from boxplat.serving.backends.cuda import bucket
from boxplat.serving.backends.source import CHOICE, CONVERTED, PROBE
from boxplat.serving.backends.table import save
from tests.serving.backends import models

META = {
    "dtype": 7,
    "sizes": [{"as_int": 1}],
    "requires_grad": False,
    "device": {"type": "cpu", "index": None},
    "strides": [{"as_int": 1}],
    "storage_offset": {"as_int": 0},
    "layout": 7,
}
"""Of a tensor, in the JSON of an archive."""
BATCH = models.rows_of(np.random.default_rng(7).normal(size=(6, 5)), np.arange(6) % 4)


class Planted:
    """Whatever unpickles this leaves a file behind."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.proof,)


@pytest.fixture
def folder(gated: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(gated, tmp_path / "model"))


def choose(folder: Path, name: str, **changes: object) -> None:
    """Record a choice as calibration does."""
    expected = backends.load(folder, backend="eager")(BATCH)
    save(folder / PROBE, {"in0": BATCH, "out0": expected})
    files = [PROBE, *backends.Source(folder).made_for(name)]
    digests = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in files}
    choice = Choice(name, digests, batches=(1, 4), machine=machine())
    (folder / CHOICE).write_text(replace(choice, **changes).text())  # type: ignore[arg-type]


def rewritten(path: Path, changes: dict[str, bytes]) -> None:
    """Replace records of an archive, or add them."""
    kept = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            if info.filename not in changes:
                new.writestr(info.filename, old.read(info))
        for name, content in changes.items():
            new.writestr(name, content)


def edited(path: Path, edit: object) -> None:
    """Change the JSON of an archive's program."""
    name = "model/models/model.json"
    with zipfile.ZipFile(path) as archive:
        program = json.loads(archive.read(name))
    edit(program)  # type: ignore[operator]
    rewritten(path, {name: json.dumps(program).encode()})


def test_without_a_choice_it_is_eager(folder: Path) -> None:
    model = backends.load(folder)
    assert (model.backend, model.reason, model.version) == ("eager", "", "unregistered")
    assert [(spec.name, spec.shape, spec.dtype) for spec in model.inputs] == [("rows", (None, 6), np.float32)]


def test_the_choice_is_loaded_and_torch_is_not(folder: Path) -> None:
    choose(folder, "onnxruntime")
    code = (
        "import sys; from boxplat.serving import backends; import numpy as np\n"
        f"model = backends.load({str(folder)!r})\n"
        "print(model.backend, model(np.zeros((2, 6), np.float32)).shape)\n"
        "print({'torch', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["onnxruntime (2,)", "set()"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, boxplat.serving.backends; print({'numpy', 'torch', 'onnxruntime', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unregistered_choice_can_be_overridden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(folder, "onnxruntime")
    monkeypatch.setenv("BOXPLAT_BACKEND", "eager")
    assert backends.load(folder).backend == "eager"
    assert backends.load(folder, backend="onnxruntime").backend == "onnxruntime"


def fallen_back(folder: Path, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.WARNING, "boxplat"):
        model = backends.load(folder)
    assert model.backend == "eager" and model.reason and model.reason in caplog.text
    np.testing.assert_array_equal(model(BATCH), backends.load(folder, backend="eager")(BATCH))
    return model.reason


def test_a_device_that_is_not_there(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    choose(folder, "cuda-graphs")
    assert "no CUDA device" in fallen_back(folder, caplog)
    with pytest.raises(BoxError, match="does not run on the back end cuda-graphs"):
        backends.load(folder, backend="cuda-graphs")


def test_a_library_that_is_not_there(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(folder, "onnxruntime")
    monkeypatch.delitem(sys.modules, "boxplat.serving.backends.ort", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "onnxruntime" in fallen_back(folder, caplog)


def test_a_file_that_was_exchanged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    choose(folder, "onnxruntime")
    (folder / CONVERTED["onnxruntime"]).write_bytes((folder / CONVERTED["onnxruntime-int8"]).read_bytes())
    assert "is not what was calibrated" in fallen_back(folder, caplog)


def test_answers_that_are_other_ones_here(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / CONVERTED["onnxruntime"]).write_bytes((folder / CONVERTED["onnxruntime-int8"]).read_bytes())
    choose(folder, "onnxruntime", tolerance=1e-6)
    assert "answers differ by" in fallen_back(folder, caplog)


def test_fewer_bits_on_another_processor(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    choose(folder, "onnxruntime-int8", tolerance=1.0, machine={"cpu": "an older one", "instructions": ["none"]})
    assert "it was calibrated on an older one" in fallen_back(folder, caplog)
    choose(folder, "onnxruntime-int8", tolerance=1.0)
    assert backends.load(folder).backend == "onnxruntime-int8"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
@pytest.mark.parametrize("name", ["eager", "onnxruntime"])
def test_a_damaged_probe_keeps_nothing_from_starting(folder: Path, name: str, content: bytes) -> None:
    choose(folder, name)
    (folder / PROBE).write_bytes(content)
    assert backends.load(folder)(BATCH).shape == (6,)


def test_a_choice_of_a_later_boxplat_is_none(folder: Path) -> None:
    (folder / CHOICE).write_text(json.dumps({"schema_version": 99, "backend": "quantum"}))
    assert backends.load(folder).backend == "eager"


@pytest.mark.parametrize("name", ["data/model.pth", "model.pkl", "model.joblib", "pytorch_model.bin"])
def test_a_pickle_is_refused_and_not_opened(tmp_path: Path, name: str) -> None:
    path, proof = tmp_path / "model" / name, tmp_path / "proof"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(Planted(proof)))
    with pytest.raises(BoxError) as caught:
        backends.load(tmp_path / "model")
    assert "pickle" in caught.value.why and "pt2" in caught.value.fix and not proof.exists()


def test_pickled_examples_of_a_program_are_never_read(folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    rewritten(folder / "data/model.pt2", {"model/data/sample_inputs/model.pt": pickle.dumps(Planted(proof))})
    assert backends.load(folder)(BATCH).shape == (6,) and not proof.exists()


def test_pickled_constants_are_refused(folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    config = {
        "config": {"x": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}}
    }
    content = {
        "model/data/constants/model_constants_config.json": json.dumps(config).encode(),
        "model/data/constants/opaque_obj_0": pickle.dumps(Planted(proof)),
    }
    rewritten(folder / "data/model.pt2", content)
    with pytest.raises(BoxError, match="is not loaded"):
        backends.load(folder)
    assert not proof.exists()


@pytest.mark.parametrize("record", ["opaque_obj_0/version", "opaque_obj_0", "custom_obj_0", "weight_0/byteorder"])
def test_constants_that_say_they_are_no_pickles_are_refused(folder: Path, tmp_path: Path, record: str) -> None:
    proof = tmp_path / "proof"
    config = {"config": {"x": {"path_name": record, "is_param": False, "use_pickle": False, "tensor_meta": META}}}
    content = {
        "model/data/constants/model_constants_config.json": json.dumps(config).encode(),
        f"model/data/constants/{record}": pickle.dumps(Planted(proof)),
    }
    rewritten(folder / "data/model.pt2", content)
    with pytest.raises(BoxError, match="is not loaded"):
        backends.load(folder)
    assert not proof.exists()


def test_a_program_under_another_name_is_left_out(folder: Path) -> None:
    rewritten(folder / "data/model.pt2", {"model/models/version": b'{"never": "parsed"}'})
    assert backends.load(folder)(BATCH).shape == (6,)


def evil_size(program: dict, proof: Path) -> None:
    text = f"__import__('pathlib').Path({str(proof)!r}).touch() or 1"
    sizes = program["graph_module"]["graph"]["tensor_values"]["rows"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = text


def evil_guard(program: dict, proof: Path) -> None:
    program["guards_code"] = [f"__import__('pathlib').Path({str(proof)!r}).touch() or True"]


def evil_operator(program: dict, proof: Path) -> None:
    program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def code(proof: Path) -> str:
    return f"__import__('pathlib').Path({str(proof)!r}).touch()"


def evil_nested_size(program: dict, proof: Path) -> None:
    sizes = program["graph_module"]["graph"]["tensor_values"]["rows"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = {"as_string": code(proof)}


def renamed(value: object, old: str, new: str) -> object:
    """The same JSON with another name for an input."""
    if isinstance(value, dict):
        return {new if key == old else key: renamed(part, old, new) for key, part in value.items()}
    if isinstance(value, list):
        return [renamed(part, old, new) for part in value]
    return new if value == old else value


def evil_input(program: dict, proof: Path) -> None:
    program.update(renamed(program, "rows", f"rows={code(proof)}"))  # type: ignore[call-overload]


def evil_argument(program: dict, proof: Path) -> None:
    program["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [f"rows={code(proof)}"]


def evil_keyword(program: dict, proof: Path) -> None:
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    spec = json.loads(signature["in_spec"])
    empty = {"type": "builtins.dict", "children_spec": []}
    leaf = {"type": None, "context": None, "children_spec": []}
    spec[1]["children_spec"] = [
        {"type": "builtins.tuple", "context": "null", "children_spec": []},
        empty | {"context": json.dumps([f"rows={code(proof)}"]), "children_spec": [leaf]},
    ]
    signature["in_spec"], signature["forward_arg_names"] = json.dumps(spec), None


def evil_parameter(program: dict, proof: Path) -> None:
    name = program["graph_module"]["signature"]["input_specs"][0]["parameter"]
    name["parameter_name"] = f'x", {code(proof)}) or getattr(self, "layers'


def evil_file(program: dict, proof: Path) -> None:
    node = program["graph_module"]["graph"]["nodes"][0]
    node["target"] = "torch.ops.aten.save.default"
    node["inputs"] = [
        {"name": "item", "arg": {"as_tensor": {"name": "rows"}}, "kind": 1},
        {"name": "filename", "arg": {"as_string": str(proof)}, "kind": 1},
    ]


def evil_argument_of_an_operator(program: dict, proof: Path) -> None:
    node = program["graph_module"]["graph"]["nodes"][0]
    node["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}


EVILS = [evil_size, evil_guard, evil_operator, evil_nested_size, evil_input, evil_argument, evil_keyword]
EVILS += [evil_parameter, evil_file, evil_argument_of_an_operator]


@pytest.mark.parametrize("evil", EVILS)
def test_code_hidden_in_a_program_is_never_run(folder: Path, tmp_path: Path, evil: object) -> None:
    proof = tmp_path / "proof"
    edited(folder / "data/model.pt2", lambda program: evil(program, proof))  # type: ignore[operator]
    if evil is evil_guard:
        assert backends.load(folder)(BATCH).shape == (6,), "guards are left out"
    else:
        with pytest.raises(BoxError, match="is not loaded"):
            backends.load(folder)
    assert not proof.exists()


def test_a_damaged_archive_is_an_error_with_four_parts(folder: Path) -> None:
    (folder / "data/model.pt2").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(BoxError) as caught:
        backends.load(folder)
    assert caught.value.log and caught.value.fix


def test_safetensors_need_their_class(tmp_path: Path) -> None:
    module = models.Gated()
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(BoxError, match="need a class"):
        backends.load(tmp_path)
    model = backends.load(tmp_path, architecture="tests.serving.backends.models:Gated")
    with torch.inference_mode():
        np.testing.assert_array_equal(model(BATCH), module(torch.from_numpy(BATCH)).numpy())


def test_a_model_that_is_onnx_needs_no_torch(gated: Path, tmp_path: Path) -> None:
    shutil.copy(gated / CONVERTED["onnxruntime"], tmp_path / "model.onnx")
    model = backends.load(tmp_path)
    assert model.backend == "onnxruntime"
    np.testing.assert_allclose(model(BATCH), backends.load(gated)(BATCH), atol=1e-6)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    folder = models.converted(models.exported(models.Pair(), tmp_path))
    left, right = np.ones((3, 2), np.float32), np.ones((3, 3), np.float32)
    answers = [backends.load(folder, backend=name)(left, right) for name in ("eager", "onnxruntime")]
    assert [[output.shape for output in answer] for answer in answers] == [[(3, 2), (3,)]] * 2
    for found, expected in zip(*answers, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["eager", "onnxruntime"])
def test_what_does_not_fit_is_named(gated: Path, name: str) -> None:
    model = backends.load(gated, backend=name)
    with pytest.raises(ValueError, match=r"rows has shape \[2, 5\], the model takes \[any, 6\]"):
        model(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="takes 1 inputs"):
        model(BATCH, BATCH)
    with pytest.raises(ValueError, match="rows is complex64"):
        model(BATCH.astype(np.complex64))


@pytest.mark.parametrize("name", ["eager", "onnxruntime"])
def test_arrays_of_every_kind_are_taken(gated: Path, name: str) -> None:
    model = backends.load(gated, backend=name)
    expected = model(BATCH)
    fixed = BATCH.copy()
    fixed.flags.writeable = False
    for same in (BATCH.astype(np.float64), np.asfortranarray(BATCH), fixed, torch.from_numpy(BATCH), BATCH.tolist()):
        np.testing.assert_allclose(model(same), expected, atol=1e-6)
    np.testing.assert_allclose(model(BATCH[::-1]), expected[::-1], atol=1e-6)


def test_buckets_hold_what_goes_into_them() -> None:
    assert [bucket(count) for count in (1, 2, 3, 4, 5, 64, 65)] == [1, 2, 4, 4, 8, 64, 128]
