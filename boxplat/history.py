"""The verbs of `Box` that look back at runs: `box runs show`, `metrics` and `compare`. All of them are light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from boxplat.core.metrics import Execution, Series, SideBySide

if TYPE_CHECKING:
    from boxplat.box import Box


class History:
    """`box runs …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def show(self, run: int) -> Execution:
        """A run with its tasks, its measured attempts and its data.

        Raises:
            BoxError: no such run (exit code 9).
        """
        state = self._box.state
        freed = state.disposal.freed(f"run/{run}")
        return Execution(
            state.runs.get(run),
            tuple(state.runs.tasks(run)),
            tuple(state.profiles.of(run)),
            tuple(state.datasets.of_run(run)),
            freed.marked if freed else None,
        )

    def metrics(self, run: int) -> tuple[Series, ...]:
        """What a run has measured by now, by name, with the values by step; no server is asked.

        Raises:
            BoxError: no such run (exit code 9), or MLflow's database cannot be read (4).
        """
        from boxplat.runs.measured import metrics

        return metrics(self._box.paths, self._box.state.runs.get(run))

    def compare(self, runs: Sequence[int]) -> SideBySide:
        """Two to eight runs side by side: parameters, metrics, times, code and data.

        Raises:
            BoxError: too few or too many (exit code 2), or no such run (9).
        """
        from boxplat.runs.sidebyside import compare

        return compare(self._box.state, self._box.paths, runs)
