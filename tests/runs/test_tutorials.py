"""Metaflow's own tutorials, unmodified, from the installed package.

04 needs conda and 05 a cluster; 06 to 08 are notebooks without a flow of their own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.model import RunState
from tests.runs.conftest import Project

pytestmark = pytest.mark.integration
TUTORIALS = Path((find_spec("metaflow") or pytest.fail("metaflow is not installed")).origin or "").parent / "tutorials"


# In order: 03 reads the results of 02.
@pytest.mark.parametrize(
    ("file", "given", "params"),
    [
        ("00-helloworld/helloworld.py", {}, {}),
        ("01-playlist/playlist.py", {"genre": "Drama"}, {"genre": "Drama", "recommendations": "5"}),
        ("02-statistics/stats.py", {}, {}),
        ("03-playlist-redux/playlist.py", {"recommendations": "2"}, {"genre": "Sci-Fi", "recommendations": "2"}),
    ],
)
def test_tutorial(box: Project, client: Any, file: str, given: dict[str, str], params: dict[str, str]) -> None:
    run = box.run(str(TUTORIALS / file), given)
    assert run.state is RunState.SUCCEEDED, box.log(run)
    tracked = client.get_run(run.tracking_run_id)
    assert tracked.info.status == "FINISHED"
    logged = dict(tracked.data.params)
    assert "bytes" in logged.pop("movie_data", "bytes")
    assert logged == params
    assert tracked.data.tags["metaflow.pathspec"] == run.pathspec
    tasks = box.state.runs.tasks(run.id)
    assert len(tasks) == int(tracked.data.tags["boxplat.tasks"])
    if "02" in file:
        where = f"tags.`mlflow.parentRunId` = '{run.tracking_run_id}'"
        children = client.search_runs([tracked.info.experiment_id], where)
        genres = {child.data.tags["artifact.genre"] for child in children}
        assert "Sci-Fi" in genres
        assert len(genres) == len([task for task in tasks if task.step == "compute_statistics"])
