"""The join's own ways of matching, each made to answer what the cost would not give it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from boxplat.features.join import EntityQuery, History, Options, join, stream
from tests.features.oracle.cases import generate
from tests.features.oracle.model import Case, View
from tests.features.oracle.test_differential import FIRST, check

if TYPE_CHECKING:
    import pyarrow as pa

PLANS = ("sort", "lookback", "sql")
CASES = 40


class Asked:
    """A request to the join itself, with the shape that `check` reads."""

    def __init__(self, case: Case, folder: Path, options: Options, streamed: bool) -> None:
        self._case, self._folder, self._options, self._streamed = case, folder, options, streamed

    def to_arrow(self) -> pa.Table:
        from tests.features.oracle.world import entity_rows

        given: Any = entity_rows(replace(self._case, given_as=form(self._case)), self._folder)
        given = EntityQuery(given) if form(self._case) == "sql" else given
        histories = [history(self._case, view, self._folder) for view in self._case.views]
        if self._streamed:
            return stream(given, self._case.timestamp, histories, self._options).read_all()
        return join(given, self._case.timestamp, histories, self._options)


def form(case: Case) -> str:
    return "sql" if case.given_as in ("sql", "parquet", "reader") else "arrow"


def history(case: Case, view: View, folder: Path) -> History:
    from tests.features.oracle.world import write

    path = write(view, folder)
    return History(
        name=view.name,
        timestamp=view.timestamp,
        features=tuple((source, case.output(view, feature)) for source, feature in view.features.items()),
        keys=tuple((source, view.entity_column(source)) for source in view.keys),
        files=(str(path),),
        created=view.created,
        ttl_us=view.ttl_us,
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["table", "stream"])
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_gives_the_answer_of_nested_loops(tmp_path: Path, plan: str, streamed: bool) -> None:
    for seed in range(FIRST, FIRST + CASES):
        case = generate(3_000_000 + seed)
        options = Options(plan=plan, created_cutoff=case.cutoff, threads=2, memory_limit="256MB" if streamed else None)

        def ask(asked: Case, options: Options = options) -> Any:
            return Asked(asked, tmp_path, options, streamed)

        check(3_000_000 + seed, case, ask)
