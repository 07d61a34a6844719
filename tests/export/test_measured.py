"""What runs took here is what their pods ask for there, with the margin: from the box to the manifest."""

from __future__ import annotations

from pathlib import Path

from boxplat import Box
from boxplat.core.profile import Profile
from boxplat.export.flows.resources import requested
from boxplat.export.model import Peak
from boxplat.exported import measured

FLOW = """
from metaflow import FlowSpec, step

class MeasuredFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    MeasuredFlow()
"""
MIB = 2**20


def test_the_highest_peak_of_the_last_runs_counts_with_what_a_forked_task_shared(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "boxplat.toml").touch()
    (tmp_path / "flows" / "measured.py").write_text(FLOW)
    box = Box(tmp_path)
    box.paths.state.mkdir(mode=0o700, exist_ok=True)
    for memory, cores in ((300, 0.5), (500, 0.25)):
        run = box.state.runs.add("flows/measured.py", "MeasuredFlow", {})
        row = Profile(run.id, "start", "1", 0, True, 1.0, 10.0, memory * MIB, inherited=100 * MIB, cores=cores)
        box.state.profiles.put([row])
    box.state.runs.add("flows/gone.py", "GoneFlow", {})
    found = measured(box)
    assert found == {"MeasuredFlow": {"start": Peak(memory_mib=600, cpu=0.5, seconds=10, runs=2)}}
    asked = requested({"requests": {"memory": "1024M", "cpu": "1"}}, found["MeasuredFlow"]["start"], 0.2)
    assert asked["requests"] == {"memory": "720Mi", "cpu": "600m"}
