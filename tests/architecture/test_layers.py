"""The layout is the architecture: who may import whom, and what a cheap command may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "boxplat").rglob("*.py"), *(ROOT / "tui" / "boxplat_tui").rglob("*.py")])

# Each foreign tool's only homes, as path prefixes. A Metaflow extension is code that Metaflow loads.
HOMES = {
    "mlflow": ("boxplat/adapters/tracking",),
    "metaflow": (
        "boxplat/adapters/flows",
        "boxplat/runs/extension/",
        "boxplat/export/flows/extension/",
        "boxplat/export/flows/noted/",
    ),
    "bentoml": ("boxplat/adapters/bentos", "boxplat/serving/"),
    "_bentoml_impl": ("boxplat/adapters/bentos", "boxplat/serving/"),
    "_bentoml_sdk": ("boxplat/adapters/bentos", "boxplat/serving/"),
    "docker": ("boxplat/adapters/containers",),
    "pynvml": ("boxplat/adapters/gpu",),
    "feast": ("boxplat/features/",),
    # `boxplat.study` has its type only.
    "optuna": ("boxplat/adapters/search", "boxplat/reporting"),
    # The log is read with the features' connection; only its errors are DuckDB's own.
    "duckdb": ("boxplat/features/", "boxplat/serving/log/reading"),
    "cramjam": ("boxplat/features/join/",),
    "torch": ("boxplat/serving/",),
    "onnxruntime": ("boxplat/serving/",),
    "yaml": ("boxplat/export/", "boxplat/doctor/", "boxplat/features/"),
    "kubernetes": ("boxplat/adapters/cluster",),
    "kubernetes_validate": ("boxplat/export/check/",),
    "hera": ("boxplat/export/check/",),
    "sqlite3": ("boxplat/core/state/", "boxplat/adapters/tracking", "boxplat/doctor/"),
    "textual": ("tui/boxplat_tui/",),
    "textual_serve": ("tui/boxplat_tui/web",),
    "rich": ("tui/boxplat_tui/",),
    "click": ("boxplat/cli/",),
}
# Floors from the bottom; a module may import from its own floor and from lower ones.
FLOORS = (
    ("boxplat.core",),
    ("boxplat.adapters",),
    ("boxplat.features", "boxplat.serving", "boxplat.declarations"),
    ("boxplat.supervisor", "boxplat.runs", "boxplat.releases", "boxplat.export", "boxplat.doctor"),
    ("boxplat.beginning", "boxplat.gc", "boxplat.lifecycle", "boxplat.logbook", "boxplat.snapshot", "boxplat.template"),
    (
        "boxplat.box",
        "boxplat.exported",
        "boxplat.groups",
        "boxplat.groups_export",
        "boxplat.groups_models",
        "boxplat.history",
        "boxplat.housekeeping",
        "boxplat.lifting",
    ),
    (
        "boxplat.metrics_table",
        "boxplat.queue_table",
        "boxplat.render",
        "boxplat.storage",
        "boxplat.trees",
        "boxplat.promotions",
        "boxplat.trials",
        "boxplat.profiled",
        "boxplat.schedule_table",
        "boxplat.feature_table",
        "boxplat.export_table",
        "boxplat.images_table",
        "boxplat.migration_table",
        "boxplat.lift_table",
    ),
    ("boxplat_tui",),
    ("boxplat.cli", "boxplat.__main__"),
)
HEAVY = {
    "torch", "pandas", "numpy", "pyarrow", "sqlalchemy", "mlflow", "feast", "bentoml", "metaflow", "docker",
}  # fmt: skip


def imported(path: Path) -> list[tuple[str, bool]]:
    """Every absolute module name that a file imports, and whether it does so at module level."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append((node.module, id(node) in top))
    return found


def floor(module: str) -> int | None:
    for number, names in enumerate(FLOORS):
        if any(module == name or module.startswith(f"{name}.") for name in names):
            return number
    return None


def module_name(path: Path) -> str:
    base = ROOT / "tui" if "tui" in path.relative_to(ROOT).parts[:1] else ROOT
    return ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


def test_every_tool_has_one_home() -> None:
    wrong = []
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        for module, _ in imported(path):
            homes = HOMES.get(module.split(".")[0])
            if homes is not None and not place.startswith(homes):
                wrong.append(f"{place} imports {module}; only {', '.join(homes)} may")
    assert wrong == []


def test_imports_point_down() -> None:
    wrong = []
    for path in SOURCES:
        own = module_name(path)
        here = floor(own)
        for module, _ in imported(path):
            there = floor(module)
            if here is None or there is None:
                continue
            if there > here:
                wrong.append(f"{own} imports {module}")
    assert wrong == []


@pytest.mark.parametrize(
    "program",
    [
        "import boxplat, boxplat.box",
        "import boxplat_tui.app",
        "import boxplat.supervisor.loop",
        "from boxplat.cli import box; box(['--help'])",
        "import boxplat.cli; box = boxplat.cli.box; box(['--project', '{project}', 'status'])",
        "import boxplat.cli; box = boxplat.cli.box; box(['--project', '{project}', 'runs'])",
    ],
)
def test_cheap_commands_load_nothing_heavy(program: str, tmp_path: Path) -> None:
    (tmp_path / "boxplat.toml").write_text("")
    report = "import sys; print('LOADED', sorted({m.split('.')[0] for m in sys.modules}))"
    text = program.replace("{project}", str(tmp_path))
    code = f"try:\n    {text}\nexcept SystemExit: pass\n{report}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.partition("LOADED ")[2]))
    assert not loaded & HEAVY


def test_every_verb_is_a_method_of_the_box() -> None:
    import click

    from boxplat.box import Box
    from boxplat.cli import box
    from boxplat.groups import Endpoints, Features, Keys, Outcomes, Queue, Schedules, Sweep
    from boxplat.groups_export import Export
    from boxplat.groups_models import Models

    groups = {
        "features": Features, "models": Models, "export": Export, "endpoints": Endpoints, "keys": Keys,
        "outcomes": Outcomes, "sweep": Sweep, "queue": Queue, "schedule": Schedules, "events": Box,
    }  # fmt: skip
    front_only = {"tui", "completion"}
    missing = []
    for name, command in box.commands.items():
        if name in front_only:
            continue
        if isinstance(command, click.Group):
            verbs = {verb: verb.replace("-", "_") for verb in command.commands}
            missing += [f"{name} {verb}" for verb, method in verbs.items() if not hasattr(groups[name], method)]
        elif not hasattr(Box, name):
            missing.append(name)
    assert missing == []


def test_files_and_functions_stay_small() -> None:
    long = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > 400:
            long.append(f"{path.relative_to(ROOT)} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > 60:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines")
    assert long == []
