"""Metaflow: what a flow file declares, the command that runs it, its cards and tags. The one home of metaflow."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boxplat.adapters import flow_requests
from boxplat.core.errors import BoxError, ExitCode

EXTENSION = Path(__file__).resolve().parent.parent / "runs" / "extension"
DECORATOR = "boxrecord"
_PARAMETERS = frozenset({"Parameter", "IncludeFile"})
_CONFIGS = frozenset({"Config"})
# Class decorators that add no parameter; any other may be a mutator, which can.
_PLAIN_DECORATORS = frozenset(
    {"project", "schedule", "trigger", "trigger_on_finish", "conda_base", "pypi_base", "exit_hook"}
)


@dataclass(frozen=True, slots=True)
class FlowFile:
    """What can be read off a flow's source without running it.

    `complete` is False where parameters may come from elsewhere (an imported base class, a mutator). `asked` is what
    the steps ask of the machine, by step: see `flow_requests`.
    """

    name: str
    parameters: frozenset[str]
    configs: frozenset[str]
    steps: tuple[str, ...]
    complete: bool
    asked: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def read(path: Path) -> FlowFile:
    """Read a flow file.

    Raises:
        BoxError: it is not Python, or holds no flow (exit code 2).
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        line = getattr(error, "lineno", None)
        raise _no_flow(path, f"{error}" if line is None else f"line {line}: {getattr(error, 'msg', error)}") from error
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    name = _main_class(tree, classes)
    if name is None:
        raise _no_flow(path, "no class in it is a FlowSpec")
    parameters: set[str] = set()
    configs: set[str] = set()
    steps: dict[str, Mapping[str, object]] = {}
    complete = True
    for node, known in _lineage(name, classes):
        complete = complete and known and _declared(node, parameters, configs)
        for step in node.body:
            if isinstance(step, ast.FunctionDef) and _has(step, "step"):
                steps.setdefault(step.name, flow_requests.asked(step))
    return FlowFile(name, frozenset(parameters), frozenset(configs), tuple(steps), complete, steps)


def decorators(tree: ast.Module) -> list[ast.expr]:
    """The decorators of a file's flow: its own before those of its bases in the same file."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    name = _main_class(tree, classes)
    return [item for node, _ in _lineage(name, classes) for item in node.decorator_list] if name else []


def command(
    python: str,
    file: str,
    flow: FlowFile,
    params: Mapping[str, str],
    *,
    max_workers: int,
    tags: Sequence[str] = (),
    decorators: Sequence[str] = (),
    origin_run: str | None = None,
    from_step: str | None = None,
    extra: Sequence[str] = (),
) -> tuple[str, ...]:
    """The argument list that runs or resumes a flow.

    Args:
        params: parameters and configs by name; a config's value may be a file or the value itself.
        origin_run: Metaflow's id of the run to resume; parameters then come from there.
        from_step: the first step to run again in a resumed run.
        extra: further options of Metaflow's `run` or `resume`.
    """
    top = [python, file, "--no-pylint"]
    shared = ["--max-workers", str(max_workers)]
    shared += [word for tag in tags for word in ("--tag", tag)]
    shared += [word for decorator in decorators for word in ("--with", decorator)]
    if origin_run is not None:
        return (*top, "resume", "--origin-run-id", origin_run, *shared, *extra, *([from_step] if from_step else []))
    for name in sorted(flow.configs & params.keys()):
        kind = "--config" if os.path.isfile(params[name]) else "--config-value"
        top += [kind, name, params[name]]
    given = [f"--{name}={params[name]}" for name in sorted(params.keys() - flow.configs)]
    return (*top, "run", *shared, *given, *extra)


def environment(base: Mapping[str, str], spool: Path, experiment: str, tracking_run_id: str | None) -> dict[str, str]:
    """The environment of a flow with the recorder switched on, beside whatever extensions and decorators it has.

    MLFLOW_RUN_ID stays unset: it breaks steps that choose their own experiment.
    """
    env = dict(base)
    env["BOXPLAT_SPOOL"] = str(spool)
    env["PYTHONPATH"] = os.pathsep.join([str(EXTENSION), *filter(None, [env.get("PYTHONPATH")])])
    env["METAFLOW_DECOSPECS"] = " ".join([*filter(None, [env.get("METAFLOW_DECOSPECS")]), DECORATOR])
    env.setdefault("MLFLOW_EXPERIMENT_NAME", experiment)
    env.pop("MLFLOW_RUN_ID", None)
    env.pop("BOXPLAT_TRACKING_RUN_ID", None)
    if tracking_run_id:
        env["BOXPLAT_TRACKING_RUN_ID"] = tracking_run_id
    return env


def cards(root: Path, flow: str, run: str, step: str, task: str) -> list[Path]:
    """The HTML cards of one task; Metaflow keeps them in either of two folders below its local root."""
    below = Path(flow, "runs", run, "steps", step, "tasks", task, "cards")
    folders = (root / ".metaflow" / below, root / ".metaflow" / "mf.cards" / below)
    return sorted({path.name: path for folder in folders for path in folder.glob("*.html")}.values())


def add_tag(pathspec: str, tag: str, env: Mapping[str, str]) -> None:
    """Tag a Metaflow run after the fact.

    Raises:
        subprocess.SubprocessError: Metaflow does not know the run, or took over a minute.
    """
    # In a process of its own: Metaflow reads its settings from the environment once, at import.
    subprocess.run(
        [sys.executable, "-m", "boxplat.adapters.flows", pathspec, tag],
        env=dict(env),
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _no_flow(path: Path, why: str) -> BoxError:
    return BoxError(
        f"{path} is not a Metaflow flow",
        why=why,
        fix=f"correct the file, then check it: python {path} show",
        code=ExitCode.USAGE,
    )


def _main_class(tree: ast.Module, classes: Mapping[str, ast.ClassDef]) -> str | None:
    """The class that the file calls when it is run, else its only flow."""
    calls = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    called = [name for name in calls if name in classes and classes[name].bases]
    flows = [name for name in classes if any("FlowSpec" in _bases(node) for node, _ in _lineage(name, classes))]
    for name in called:
        if name in flows:
            return name
    if flows:
        return flows[-1]
    inherited = [name for name in called if any(_has_steps(node) for node, _ in _lineage(name, classes))]
    return inherited[0] if inherited else None


def _lineage(name: str, classes: Mapping[str, ast.ClassDef]) -> Iterable[tuple[ast.ClassDef, bool]]:
    """A class and its bases in the same file; each with whether all of its own bases are known."""
    todo, seen = [name], set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        node = classes[current]
        bases = _bases(node)
        todo += [base for base in bases if base in classes]
        yield node, all(base in classes or base == "FlowSpec" for base in bases)


def _bases(node: ast.ClassDef) -> list[str]:
    return [_name(base) for base in node.bases]


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _has(node: ast.FunctionDef, decorator: str) -> bool:
    return any(_name(item) == decorator for item in node.decorator_list)


def _has_steps(node: ast.ClassDef) -> bool:
    return any(isinstance(item, ast.FunctionDef) and _has(item, "step") for item in node.body)


def _declared(node: ast.ClassDef, parameters: set[str], configs: set[str]) -> bool:
    """Collect the names that a class declares; False when it may declare more than can be read."""
    complete = all(_name(item) in _PLAIN_DECORATORS for item in node.decorator_list)
    for item in node.body:
        value = item.value if isinstance(item, ast.Assign | ast.AnnAssign) else None
        if not isinstance(value, ast.Call):
            continue
        kind, name = _name(value), _first_text(value)
        if name is not None and kind in _PARAMETERS:
            parameters.add(name)
        elif name is not None and kind in _CONFIGS:
            configs.add(name)
        elif kind in _PARAMETERS | _CONFIGS or kind[:1].isupper():
            # A computed name, or a class that may be a parameter of somebody's own kind.
            complete = False
    return complete


def _first_text(call: ast.Call) -> str | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    first = next(iter([*call.args, *named]), None)
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _tag(pathspec: str, tag: str) -> None:
    from metaflow.client.core import Run, namespace

    namespace(None)
    Run(pathspec).add_tag(tag)


if __name__ == "__main__":
    _tag(*sys.argv[1:])
