"""Reading a flow's declarations without running it, and the command made from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from boxplat.adapters import flows
from boxplat.core.errors import BoxError, ExitCode

FLOWS = Path(__file__).parent / "flows"
HEAD = "from metaflow import FlowSpec, Parameter, Config, step, project\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "flow.py"
    path.write_text(HEAD + text)
    return path


def test_reads_parameters_configs_and_steps() -> None:
    flow = flows.read(FLOWS / "everything.py")
    assert flow.name == "EverythingFlow"
    assert flow.parameters == {"learning-rate", "label", "notes"}
    assert flow.configs == {"settings"}
    assert flow.steps[0] == "start"
    assert flow.complete


def test_parameters_of_a_base_class_in_the_same_file(tmp_path: Path) -> None:
    flow = flows.read(
        written(
            tmp_path,
            "class Base(FlowSpec):\n    a = Parameter('alpha')\n"
            "@project(name='p')\nclass Child(Base):\n    b: int = Parameter(name='beta')\n"
            "if __name__ == '__main__':\n    Child()\n",
        )
    )
    assert (flow.name, flow.parameters, flow.complete) == ("Child", {"alpha", "beta"}, True)


@pytest.mark.parametrize(
    "text",
    [
        "from other import Base\nclass F(Base):\n    @step\n    def start(self): pass\nF()\n",
        "from other import mutator\n@mutator\nclass F(FlowSpec): pass\nF()\n",
        "NAME = 'x'\nclass F(FlowSpec):\n    p = Parameter(NAME)\nF()\n",
        "from other import MyParameter\nclass F(FlowSpec):\n    p = MyParameter('x')\nF()\n",
    ],
    ids=["imported base", "mutator", "computed name", "own kind of parameter"],
)
def test_admits_what_it_cannot_know(tmp_path: Path, text: str) -> None:
    assert not flows.read(written(tmp_path, text)).complete


@pytest.mark.parametrize("text", ["class F(FlowSpec:\n", "x = 1\n", "class F: pass\nF()\n", "\0"])
def test_refuses_what_is_no_flow(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BoxError) as caught:
        flows.read(path)
    assert caught.value.code == ExitCode.USAGE
    assert str(path) in caught.value.what
    assert caught.value.why


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(BoxError) as caught:
        flows.read(written(tmp_path, "x = 1\nclass F(FlowSpec)\n    pass\n"))
    assert "line 3" in caught.value.why


def test_command_of_a_run(tmp_path: Path) -> None:
    config = tmp_path / "settings.json"
    config.write_text("{}")
    flow = flows.read(FLOWS / "everything.py")
    command = flows.command(
        "py",
        "f.py",
        flow,
        {"label": "--with retry", "settings": str(config)},
        max_workers=2,
        tags=["a"],
        decorators=["retry"],
        extra=["--max-num-splits", "7"],
    )
    assert " ".join(command) == (
        f"py f.py --no-pylint --config settings {config} run --max-workers 2 --tag a --with retry "
        "--label=--with retry --max-num-splits 7"
    )
    inline = flows.command("py", "f.py", flow, {"settings": '{"depth": 1}'}, max_workers=1)
    assert inline[3:6] == ("--config-value", "settings", '{"depth": 1}')


def test_command_of_a_resumed_run() -> None:
    flow = flows.read(FLOWS / "tiny.py")
    command = flows.command("py", "f.py", flow, {}, max_workers=3, origin_run="17", from_step="end")
    assert " ".join(command) == "py f.py --no-pylint resume --origin-run-id 17 --max-workers 3 end"


def test_environment_adds_to_what_is_there() -> None:
    base = {"PYTHONPATH": "mine", "METAFLOW_DECOSPECS": "retry", "MLFLOW_RUN_ID": "x", "BOXPLAT_TRACKING_RUN_ID": "old"}
    env = flows.environment(base, Path("spool"), "F", None)
    assert env["PYTHONPATH"] == f"{flows.EXTENSION}{os.pathsep}mine"
    assert env["METAFLOW_DECOSPECS"] == "retry boxrecord"
    assert env["MLFLOW_EXPERIMENT_NAME"] == "F"
    assert "MLFLOW_RUN_ID" not in env
    assert "BOXPLAT_TRACKING_RUN_ID" not in env
    assert flows.environment(base, Path("spool"), "F", "new")["BOXPLAT_TRACKING_RUN_ID"] == "new"


def test_the_extension_is_where_the_environment_points() -> None:
    found = {path.name for path in flows.EXTENSION.glob("metaflow_extensions/boxplat/plugins/*.py")}
    assert {"boxrecord.py", "claims.py", "vram.py", "mfextinit_boxplat.py", "spool_writer.py"} <= found
