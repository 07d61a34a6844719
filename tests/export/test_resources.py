"""What a step asks for: peaks and a margin where it has run, the declaration where it has not, GPUs by the mapping."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.export_config import GpuConfig
from boxplat.export.flows.resources import gpu_need, requested, size
from boxplat.export.gpus import Need, Unknown, chosen, devices, placement
from boxplat.export.model import Decorator, Peak, Policy

POLICY = Policy("p", "p", {"flows": "i:1"}, "s3://b", margin=0.25)
DECLARED = {"requests": {"cpu": "2", "memory": "4000M", "ephemeral-storage": "1024M"}, "limits": {}}
GPUS = {
    "small": GpuConfig(resource="nvidia.com/mig-1g.10gb", memory_mib=9728),
    "large": GpuConfig(memory_mib=81920, selector={"gpu": "a100"}, tolerations=("pool=gpu:NoExecute",), default=True),
}


def test_requests_are_the_peak_and_the_margin_and_the_limit_stays_the_declared_one() -> None:
    found = requested(DECLARED, Peak(memory_mib=1000, cpu=0.8, runs=3), 0.25)
    assert found["requests"] == {"cpu": "1000m", "memory": "1250Mi", "ephemeral-storage": "1024M"}
    assert found["limits"] == {"memory": "4000M"}


def test_a_step_that_took_more_than_it_asked_for_gets_more() -> None:
    found = requested(DECLARED, Peak(memory_mib=8000, cpu=3.2, runs=1), 0.1)
    assert (found["requests"]["memory"], found["limits"]["memory"]) == ("8800Mi", "9056Mi")
    assert found["requests"]["cpu"] == "3520m"


@pytest.mark.parametrize("peak", [None, Peak(), Peak(memory_mib=7.0)])
def test_a_step_that_never_ran_gets_what_it_declares(peak: Peak | None) -> None:
    assert requested(DECLARED, peak, 0.2) == {"requests": DECLARED["requests"], "limits": {"memory": "4000M"}}


@settings(deadline=None)
@given(
    st.floats(1, 10**6), st.floats(0.01, 500), st.floats(0, 3), st.integers(1, 10**6), st.sampled_from(["", "M", "Gi"])
)
def test_a_limit_is_never_below_its_request(peak: float, cpu: float, margin: float, memory: int, unit: str) -> None:
    own = {"requests": {"cpu": "1", "memory": f"{memory}{unit}"}, "limits": {"memory": f"{memory}{unit}"}}
    found = requested(own, Peak(memory_mib=peak, cpu=cpu, runs=1), margin)
    assert size(found["limits"]["memory"]) >= size(found["requests"]["memory"]) >= peak * (1 + margin) * 2**20 - 2
    assert found["requests"]["memory"].endswith("Mi") and found["requests"]["cpu"].endswith("m")


def _steps(**attributes: Any) -> list[Decorator]:
    vram = [Decorator("vram", {"memory": attributes.pop("vram")})] if "vram" in attributes else []
    return [Decorator("resources", {"gpu": None, **attributes}), *vram]


@pytest.mark.parametrize(
    ("declared", "peak", "need"),
    [
        (_steps(), None, None),
        (_steps(), Peak(vram_mib=500, runs=1), None),
        (_steps(gpu=0, vram="6G"), None, None),
        (_steps(gpu=2), None, Need(2)),
        (_steps(vram="6Gi"), None, Need(1, 6144)),
        (_steps(gpu="1", vram=1000), None, Need(1, 1000e6 / 2**20)),
        (_steps(gpu=1, vram="40Gi"), Peak(vram_mib=4000, runs=2), Need(1, 5000)),
    ],
)
def test_gpus_are_asked_for_as_in_a_box(declared: list[Decorator], peak: Peak | None, need: Need | None) -> None:
    assert gpu_need(declared, peak, POLICY) == need


def test_the_smallest_gpu_with_enough_memory_is_taken_and_the_default_where_none_is_said() -> None:
    assert chosen(Need(1, 9000), GPUS) is GPUS["small"]
    assert chosen(Need(0.5, 9000), GPUS) is GPUS["small"] and devices(Need(0.5, 9000)) == 1
    assert chosen(Need(1, 10000), GPUS) is GPUS["large"]
    assert chosen(Need(4), GPUS) is GPUS["large"] and devices(Need(4)) == 4
    assert chosen(Need(1, 9000), {}).resource == "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("need", "gpus"),
    [
        (Need(1, 90_000), GPUS),
        (Need(0.5), GPUS),
        (Need(1), {"a": GpuConfig(), "b": GpuConfig()}),
        (Need(1, 10), {"a": GpuConfig()}),
    ],
)
def test_a_gpu_that_the_mapping_does_not_know_is_unknown(need: Need, gpus: dict[str, GpuConfig]) -> None:
    with pytest.raises(Unknown) as caught:
        chosen(need, gpus)
    assert caught.value.fix


def test_a_pod_goes_where_its_gpu_is() -> None:
    assert placement(GPUS["large"]) == {
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "pool", "operator": "Equal", "value": "gpu", "effect": "NoExecute"},
        ],
        "nodeSelector": {"gpu": "a100"},
    }
