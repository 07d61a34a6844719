"""From `@resources` and `@vram` to a claim: units, what was learnt, and what is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxplat.adapters import flows
from boxplat.core.claims import Capacity, Device, Priority
from boxplat.core.errors import BoxError, ExitCode
from boxplat.runs import requests

MACHINE = Capacity(cores=4, memory=8 * 2**30, devices=(Device("GPU-1", "one", 24 * 2**30),))
HEAD = "from metaflow import FlowSpec, step, resources, vram\nMANY = 3\nclass F(FlowSpec):\n"


def test_the_source_tells_what_each_step_asks_for_and_leaves_out_what_is_computed(tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    path.write_text(
        HEAD + "    @resources(cpu=2, memory=4096)\n    @step\n    def start(self): pass\n"
        "    @vram('6G')\n    @resources(gpu=1, memory=2 * MANY, disk=100)\n    @step\n    def train(self): pass\n"
        "    @vram(memory=6000)\n    @step\n    def judge(self): pass\n"
        "    @resources\n    @step\n    def end(self): pass\nF()\n"
    )
    assert flows.read(path).asked == {
        "start": {"cpu": 2, "memory": 4096},
        "train": {"vram": "6G", "gpu": 1},
        "judge": {"vram": 6000},
        "end": {},
    }


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6G", 6 * 10**9),
        ("6GB", 6 * 10**9),
        ("6Gi", 6 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        (6000, 6 * 10**9),
        ("512", 512 * 10**6),
    ],
)
def test_sizes_are_what_kubernetes_understands(text: object, size: int) -> None:
    assert requests.claim({"vram": text}, {}, Priority.BATCH).vram == size


@pytest.mark.parametrize("asked", [{"vram": "six"}, {"memory": "much"}, {"cpu": -1}, {"gpu": "nan"}])
def test_what_cannot_be_understood_is_an_error_that_names_it(asked: dict[str, object]) -> None:
    with pytest.raises(BoxError) as caught:
        requests.claim(asked, {}, Priority.BATCH)
    assert caught.value.code is ExitCode.USAGE
    assert next(iter(asked)) in str(caught.value)


def test_what_is_not_asked_for_is_learnt_else_assumed() -> None:
    nothing = requests.claim({}, {}, Priority.BATCH)
    assert (nothing.cores, nothing.memory, nothing.gpus, nothing.asked) == (1, requests.ASSUMED, 0, False)
    learnt = requests.claim({"cpu": "2"}, {"memory": 10**9, "vram": 2 * 10**9, "seconds": 30.0}, Priority.BATCH)
    assert (learnt.cores, learnt.memory, learnt.gpus, learnt.vram) == (2, 10**9, 1, 2 * 10**9)
    assert learnt.expected_seconds == 30
    told = requests.claim({"memory": 100, "gpu": 0}, {"memory": 10**9, "vram": 10**9}, Priority.BATCH)
    assert (told.memory, told.gpus, told.vram, told.asked) == (10**8, 0, 0, True)


def test_a_gpu_without_its_memory_is_claimed_whole() -> None:
    claim = requests.claim({"gpu": 1}, {}, Priority.BATCH)
    assert (claim.gpus, claim.vram) == (1, 0)


def test_every_node_of_a_parallel_step_is_claimed() -> None:
    claim = requests.claim({"cpu": 2, "memory": 100}, {}, Priority.BATCH, nodes=3)
    assert (claim.cores, claim.memory) == (6, 3 * 10**8)


@pytest.mark.parametrize("asked", [{"cpu": 5}, {"memory": 10_000}, {"gpu": 2}, {"vram": "30G"}])
def test_what_never_fits_is_refused_with_what_would(asked: dict[str, object]) -> None:
    with pytest.raises(BoxError) as caught:
        requests.refuse_what_never_fits("flows/f.py", {"start": {}, "train": asked}, MACHINE)
    assert caught.value.code is ExitCode.NO_COMPUTE
    assert "step train of flows/f.py" in str(caught.value)
    assert any(
        words in str(caught.value) for words in ("4 can be claimed", "8.0 GiB can be", "there are 1", "24.0 GiB")
    )


def test_what_nobody_asked_for_is_cut_to_the_machine() -> None:
    small = Capacity(cores=0.5, memory=2**28)
    wanted = requests.claim({}, {"memory": 2**40, "vram": 2**40}, Priority.BATCH)
    cut = requests.within(wanted, {}, small)
    assert (cut.cores, cut.memory, cut.gpus, cut.vram) == (0.5, 2**28, 0, 0)
    requests.refuse_what_never_fits("f.py", {"start": {}}, small)
