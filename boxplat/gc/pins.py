"""Runs and model versions that stay because somebody said so."""

from __future__ import annotations

import re

from boxplat.adapters import tracking_store
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.disposal import Pin

_RUN = re.compile(r"(?:run/)?(?P<number>[0-9]{1,9})")
_VERSION = re.compile(r"(?:models?:?/)?(?P<name>[^@:]+)/(?P<number>[0-9]{1,9})")


def pin(state: StateStore, paths: Paths, subject: str | None, by: str) -> list[Pin]:
    """Keep a run or a model version; returns all that is pinned.

    Raises:
        BoxError: there is no such run or version (exit code 9), the run was freed already (4), or it is neither (2).
    """
    if subject is not None:
        name = named(subject)
        _must_be_there(state, paths, name)
        state.disposal.pin(name, by)
    return state.disposal.pins()


def unpin(state: StateStore, subject: str, by: str) -> list[Pin]:
    """Take a pin away; returns what is still pinned.

    Raises:
        BoxError: it was not pinned (exit code 9).
    """
    if not state.disposal.unpin(named(subject), by):
        raise not_found("pin", subject, [one.subject for one in state.disposal.pins()], "box pin")
    return state.disposal.pins()


def named(text: str) -> str:
    """`run/12` or `model/delay/3`.

    Raises:
        BoxError: it is neither (exit code 2).
    """
    if match := _RUN.fullmatch(text):
        return f"run/{int(match['number'])}"
    if match := _VERSION.fullmatch(text):
        return f"model/{match['name']}/{int(match['number'])}"
    raise BoxError(
        f"{text!r} is neither a run nor a model version",
        why="a run is its number, a version is its model's name and its number",
        fix="box pin 12   (or: box pin delay/3)",
        code=ExitCode.USAGE,
    )


def _must_be_there(state: StateStore, paths: Paths, subject: str) -> None:
    if subject.startswith("run/"):
        run = state.runs.get(int(subject.removeprefix("run/")))
        if state.disposal.freed(subject):
            raise BoxError(
                f"run {run.id} cannot be kept",
                why="box gc has freed it",
                fix=f"box run {run.flow}   (to have it again)",
                code=ExitCode.PRECONDITION,
            )
        return
    known = [f"model/{one.name}/{one.version}" for one in tracking_store.read(paths.mlflow).versions]
    if subject not in known:
        raise not_found("model version", subject.removeprefix("model/"), known, "box models list")
