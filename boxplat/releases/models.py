"""Registered models as `box models` shows them, and the version that an alias means now."""

from __future__ import annotations

from pathlib import Path

from boxplat.adapters import tracking
from boxplat.adapters.tracking_api import TrackingDownError
from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.core.model import ModelVersion, State
from boxplat.core.state import StateStore


def versions(state: StateStore, name: str | None = None) -> list[ModelVersion]:
    """Registered model versions, newest first within a name.

    Args:
        name: only this model's, each with the metrics of the run that made it (all models: without metrics).

    Raises:
        BoxError: no such model (exit code 9), or tracking does not run (exit code 3).
    """
    url = tracking_url(state)
    try:
        return tracking.models(url) if name is None else tracking.model(url, name)
    except TrackingDownError as error:
        raise _down(str(error)) from error


def version_of(state: StateStore, root: Path, name: str, alias: str) -> ModelVersion:
    """The version of a registered model that an alias points at, or with that number.

    Args:
        alias: it, or a number.
        root: the project folder, where the flow that trains is looked for.

    Raises:
        BoxError: no such model or alias (exit code 9), or tracking does not run (exit code 3).
    """
    everything = versions(state)
    own = [version for version in everything if version.name == name]
    found = next((version for version in own if alias in version.aliases or alias == str(version.version)), None)
    if found is not None:
        return found
    if own:
        aliases = sorted({alias for version in own for alias in version.aliases})
        what = f"model {name!r} has no alias {alias!r}{nearest(alias, aliases)}"
        why = f"versions: {len(own)}; aliases: {', '.join(aliases) or 'none'}"
    else:
        known = sorted({version.name for version in everything})
        what = f"no registered model {name!r}{nearest(name, known)}"
        why = f"the registry knows: {', '.join(known)}" if known else "nothing is registered yet"
    raise BoxError(what, why=why, fix=_training(root), code=ExitCode.NOT_FOUND)


def _training(root: Path) -> str:
    """The command that makes a model: the project's training flow where its name gives it away."""
    flow = next(iter(sorted((root / "flows").glob("*train*.py"))), None)
    return (
        f"box run flows/{flow.name} --wait" if flow else "box run FLOW --wait, with the flow that registers the model"
    )


def tracking_url(state: StateStore) -> str:
    """URL of the box's tracking server.

    Raises:
        BoxError: it does not run (exit code 3).
    """
    found = next((status for status in state.services.all() if status.name == tracking.NAME), None)
    if found is None or found.url is None or found.state not in (State.RUNNING, State.UNHEALTHY):
        raise _down(f"its state is: {found.state.value}" if found else "this box was never up")
    return found.url


def _down(why: str) -> BoxError:
    return BoxError(
        "the tracking server does not answer",
        why=why,
        fix="box up --detach && box wait tracking   (its log: box logs tracking)",
        code=ExitCode.NO_BOX,
    )
