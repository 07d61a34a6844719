"""What a flow may call while it runs: `report` for intermediate values, `study` for a search of its own.

Both do no harm outside a box. Light to import: standard library only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from boxplat.core.lines import append

if TYPE_CHECKING:
    import optuna


def report(step: int, value: float, metric: str = "") -> None:
    """Tell an intermediate value: of an epoch, a fold, a round.

    A sweep with a pruner gives a trial up by these values; each also becomes the metric `intermediate/NAME` of the
    MLflow run. Outside a run it does nothing, and it never makes a step fail.

    Args:
        step: counts up from 0; of several values at a step the last one counts.
        value: any number, also of numpy or torch.
        metric: which one (the default: what the sweep is judged by).
    """
    spool = os.environ.get("BOXPLAT_SPOOL")
    if not spool:
        return
    name = metric or os.environ.get("BOXPLAT_SWEEP_METRIC", "")
    try:
        append(
            Path(spool),
            {"kind": "report", "at": time.time(), "metric": name, "index": int(step), "value": float(value)},
        )
    except (OSError, TypeError, ValueError) as error:
        print(f"boxplat: the value of step {step} was not reported: {error}", file=sys.stderr)


def study(name: str, direction: Literal["minimize", "maximize"] = "maximize") -> optuna.Study:
    """An Optuna study that the tasks of one run share, so that a foreach can search with it.

    It lies in the run's folder, or outside a box in `.metaflow/studies` below the working folder.

    Raises:
        BoxError: Optuna is not installed (exit code 4).
    """
    from boxplat.adapters import search

    search.must_be_there()
    return search.shared_study(_folder() / "studies.db", name, direction)


def _folder() -> Path:
    spool = os.environ.get("BOXPLAT_SPOOL")
    if spool:
        return Path(spool).parent
    metaflow: Any = sys.modules.get("metaflow")
    run = str(metaflow.current.run_id) if metaflow else "none"
    folder = Path(".metaflow", "studies", run)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
