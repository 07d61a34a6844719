"""From versions to evidence: their files fetched, their answers to the same rows, and what was measured of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from boxplat.adapters import tracking_models
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.gates import GateConfig
from boxplat.core.model import ModelVersion
from boxplat.core.paths import Paths
from boxplat.releases.gates import data
from boxplat.releases.gates.evidence import HeldOut, Shown
from boxplat.serving.backends.choice import EVIDENCE, Choice
from boxplat.serving.backends.loading import reference
from boxplat.serving.backends.quality import scores
from boxplat.serving.backends.runner import Array
from boxplat.serving.backends.source import Source
from boxplat.serving.backends.table import NAME, save
from boxplat.serving.backends.trial import FailedError, Trial

Told = Callable[[str], None]
UNTIL = "training_until"
"""Tag of a version: the first moment (ISO) whose rows it was not trained on."""
_TURNS, _SECONDS = 7, 0.1
_BATCH = 1024


@dataclass(frozen=True)
class Fetched:
    """A version, and its files."""

    version: ModelVersion
    source: Source


def fetched(version: ModelVersion, url: str, place: Path) -> Fetched:
    """Download a version; nothing of it is unpickled, here or later.

    Raises:
        BoxError: it is gone, or would have to be unpickled.
    """
    folder = place / str(version.version)
    folder.mkdir()
    tracking_models.fetch(f"models:/{version.name}/{version.version}", folder, url)
    source = Source(folder, str(version.version), Choice.parse(version.tags.get(EVIDENCE)))
    source.check()
    if source.program is None and source.onnx is None:
        raise BoxError(
            f"{version.name} version {version.version} cannot be judged",
            why="it has weights alone; only the service knows the class that they belong to",
            fix="register it as an exported program: mlflow.pytorch.log_model(…, serialization_format='pt2')",
            code=ExitCode.PRECONDITION,
        )
    return Fetched(version, source)


def shown(
    said: GateConfig, versions: Sequence[Fetched], paths: Paths, env: Mapping[str, str], scratch: Path, told: Told
) -> tuple[HeldOut, list[Shown]]:
    """The rows, and what each version showed on them, measured in turns."""
    told(f"held-out rows: {said.data or NAME}")
    found = data.rows(said.data, [one.source.folder for one in versions], paths, env, scratch)
    found = data.unseen(found, [until for one in versions if (until := trained_until(one.version)) is not None])
    count = len(found[0].held_out.labels)
    sizes = tuple(sorted({said.latency_rows, _BATCH}))
    with contextlib.ExitStack() as stack:
        trials = []
        for one, own in zip(versions, found, strict=True):
            told(f"version {one.version.version} answers {count} rows")
            rows = scratch / f"inputs-{one.version.version}.npz"
            save(rows, {f"input{i}": array for i, array in enumerate(own.inputs)})
            trials.append(stack.enter_context(_started(one, rows, sizes, scratch, env)))
        told(f"calls of {said.latency_rows} rows, in {_TURNS} turns")
        times = [[trial.seconds(said.latency_rows, _SECONDS) * 1000 for trial in trials] for _ in range(_TURNS)]
        columns = list(zip(*times, strict=True))
        parts = zip(versions, trials, columns, strict=True)
        return found[0].held_out, [_shown(one, trial, took, count) for one, trial, took in parts]


def trained_until(version: ModelVersion) -> float | None:
    """Seconds since the epoch of the tag `training_until`; None where there is none.

    Raises:
        BoxError: it is no time (exit code 4).
    """
    if not version.tags.get(UNTIL):
        return None
    try:
        moment = datetime.fromisoformat(version.tags[UNTIL])
    except ValueError as error:
        raise BoxError(
            f"it cannot be told which rows {version.name} version {version.version} was trained on",
            why=f"its tag {UNTIL} is no ISO time: {version.tags[UNTIL]!r}",
            fix="set it to the first moment whose rows it was not trained on, like 2013-09-01T00:00:00+00:00",
            code=ExitCode.PRECONDITION,
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _started(one: Fetched, rows: Path, sizes: tuple[int, ...], scratch: Path, env: Mapping[str, str]) -> Trial:
    """On the back end that it would be served on, as serving does: the calibrated one, else the reference."""
    choice = one.source.choice
    names = dict.fromkeys([choice.backend] if choice else [])
    names[reference(one.source)] = None
    problems = []
    for name in names:
        try:
            log = scratch / f"{one.version.version}-{name}.log"
            return Trial(one.source.folder, name, choice.threads if choice else 1, rows, sizes, log, env)
        except FailedError as error:
            problems.append(f"{name}: {error}")
    raise BoxError(
        f"{one.version.name} version {one.version.version} answers nothing",
        why="\n".join(problems),
        fix="see that it loads and takes what `data` of the gates gives: box models calibrate " + one.version.name,
    )


def _shown(one: Fetched, trial: Trial, took: Sequence[float], count: int) -> Shown:
    outputs = [array[:count] for array in trial.outputs()]
    answers = scores(outputs)
    if len(answers) != count or not np.isfinite(answers).all():
        raise BoxError(
            f"{one.version.name} version {one.version.version} does not answer every row with a number",
            why=f"{count} rows were asked, {int(np.isfinite(answers).sum())} numbers came back",
            fix="correct the model, or what `data` of the gates gives it",
        )
    return Shown(
        one.version.version,
        answers,
        tuple(took),
        _size(one.source.folder),
        takes=trial.takes,
        gives=tuple(_form(array) for array in outputs),
        backend=trial.name,
        feature_service=one.version.tags.get("feature_service", ""),
    )


def _form(array: Array) -> str:
    return f"{array.dtype} [{', '.join(['N', *map(str, array.shape[1:])])}]"


def _size(folder: Path) -> int:
    """Bytes of the files, without the rows that calibration checks with."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != NAME)
