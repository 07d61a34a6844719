"""The first steps in a new box, and how far this one has come: start it, run its flows, deploy, ask."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from boxplat.core.config import Config
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.serving.log.asking import folder_of
from boxplat.supervisor.lock import holder

# The sample's flows that lead to a model, in the order of the tutorial.
SAMPLE = {
    "flows/ingest.py": "bring the data in",
    "flows/features.py": "make the features",
    "flows/train.py": "train a model and register it",
}
_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: `words` follow `box`; empty where no command is needed.

    `state` is done, doing (by `run`), next or later.
    """

    title: str
    words: tuple[str, ...]
    state: str = "later"
    run: int | None = None


def steps(paths: Paths, config: Config, state: StateStore) -> tuple[Step, ...]:
    """The way to the first prediction; nothing where one was made, or where so much ran that nobody is new here."""
    runs = state.runs.all(_LOOKED_AT)
    if len(runs) == _LOOKED_AT or any(_asked(paths, name) for name in config.endpoints):
        return ()
    running = holder(paths) is not None
    up = Step("start the box", ("up", "--detach"), "done" if running else "later")
    todo = _flows(paths, runs)
    for name in list(config.endpoints)[:1]:
        released = "done" if state.releases.all(name) else "later"
        todo += [
            Step(f"deploy the model as endpoint {name}", ("deploy", name), released),
            Step(f"ask {name} for a prediction", ("predict", name, _example(paths))),
        ]
    ordered = _ordered([up, *_passed(todo)])
    if all(step.state == "done" for step in ordered):
        return ()
    return (Step(f"have a project: {config.project.name}", (), "done"), *ordered)


def _passed(todo: list[Step]) -> list[Step]:
    """What came later shows that what was before it was done, by whatever command."""
    last = max((at for at, step in enumerate(todo) if step.state == "done"), default=-1)
    return [replace(step, state="done", run=None) if at <= last else step for at, step in enumerate(todo)]


def _ordered(todo: list[Step]) -> list[Step]:
    """With the first one that is not done as the next, unless it is under way."""
    first = next((at for at, step in enumerate(todo) if step.state != "done"), len(todo))
    return [
        replace(step, state="doing" if step.run else "next") if at == first else step for at, step in enumerate(todo)
    ]


def _flows(paths: Paths, runs: list[Run]) -> list[Step]:
    """The flows that lead to a model, or the first one where they are not the sample's."""
    files = sorted((paths.root / "flows").glob("*.py"))
    flows = [path for path in files if "FlowSpec" in path.read_text(errors="replace")]
    there = [path.relative_to(paths.root).as_posix() for path in flows]
    chosen = [flow for flow in SAMPLE if flow in there] or there[:1]
    succeeded = {run.flow for run in runs if run.state is RunState.SUCCEEDED}
    active = {run.flow: run.id for run in runs if not run.state.over}
    return [
        Step(
            SAMPLE.get(flow, "run a flow"),
            ("run", flow),
            "done" if flow in succeeded else "later",
            active.get(flow),
        )
        for flow in chosen
    ]


def _example(paths: Paths) -> str:
    """The request that the project's flows left as an example, or an empty one."""
    found = sorted(paths.data.glob("*request*.json"))
    return f"@{found[0].relative_to(paths.root).as_posix()}" if found else "{}"


def _asked(paths: Paths, endpoint: str) -> bool:
    """Whether an endpoint's prediction log holds anything."""
    folder = folder_of(paths, endpoint)
    # Files are replaced at any time.
    with suppress(FileNotFoundError):
        spooled = any(path.stat().st_size for path in folder.glob("*.spool"))
        return spooled or any(folder.glob("*.parquet"))
    return True
