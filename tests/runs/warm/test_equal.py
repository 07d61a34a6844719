"""A flow leaves behind and says the same under the warm launcher as under Metaflow alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs.warm.runs import FLOWS, Done, run

pytestmark = pytest.mark.integration

Pair = tuple[Done, Done]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The same flow, stock and warm, with one root: content-store keys are those of the same folders."""
    root = tmp_path_factory.mktemp("equal")
    file = FLOWS / "behaviour.py"
    return run(root, file, warm=None), run(root, file, warm=True)


def test_everything_but_a_changed_environment_is_forked(pair: Pair) -> None:
    assert [record["why"] for record in pair[1].of_kind("cold")] == ["its environment differs: COLOUR"]
    assert [record["warm"] for record in pair[1].of_kind("launched")] == [21]


def test_artifacts_are_equal(pair: Pair) -> None:
    stock, warm = (done.keys() for done in pair)
    assert sum(map(len, stock.values())) > 300
    assert warm == stock


def test_tasks_log_the_same(pair: Pair) -> None:
    stock, warm = (done.logs() for done in pair)
    assert any("segmentation fault" in line for lines in stock.values() for line in lines)
    assert warm == stock


def test_the_run_says_and_ends_the_same(pair: Pair) -> None:
    assert pair[1].status == pair[0].status == 0
    assert "the exit hook" in pair[0].said()
    assert pair[1].said() == pair[0].said()


def test_tasks_have_the_same_files_and_metadata(pair: Pair) -> None:
    assert pair[1].files() == pair[0].files()


def test_what_a_task_never_closed_is_written(pair: Pair) -> None:
    assert (pair[1].root / "late.txt").read_text() == "never closed\n"


def test_a_failed_run_resumes_the_same(tmp_path: Path) -> None:
    ended: list[Pair] = []
    for warm in (None, True):
        mended = tmp_path / f"mended-{warm}"
        failed = run(tmp_path, FLOWS / "broken.py", "--mended", str(mended), warm=warm)
        mended.touch()
        resumed = run(tmp_path, FLOWS / "broken.py", "--origin-run-id", failed.run_id, warm=warm, command="resume")
        ended.append((failed, resumed))
    (stock_failed, stock), (warm_failed, warm_done) = ended
    assert (stock_failed.status, stock.status) == (warm_failed.status, warm_done.status) == (1, 0)
    assert warm_done.logs() == stock.logs()
    assert {task: set(keys) for task, keys in warm_done.keys().items()} == {
        task: set(keys) for task, keys in stock.keys().items()
    }
    # The failed run's start and middle, the resumed one's middle and end: what was cloned was not started again.
    assert [record["warm"] for record in warm_done.of_kind("launched")] == [2, 2]
