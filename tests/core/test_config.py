"""Settings: layers, and what a mistake in them says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.compute import ComputeConfig
from boxplat.core.config import Config, load
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths

SAMPLE = """
[project]
name = "flights"
[tracking]
port = 5100
[endpoints.delay]
bento = "bentos/delay"
model = "delay"
env = { THRESHOLD = "0.3" }
[services.web]
command = ["python", "-m", "http.server", "${self.port}"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "boxplat.toml"
    path.write_text(text)
    return path


def test_each_layer_beats_the_one_below_and_is_named_as_the_origin(tmp_path: Path) -> None:
    path = write(tmp_path, SAMPLE)
    config = load(path, {"BOXPLAT_TRACKING_PORT": "5200", "BOXPLAT_RUN_MAX_WORKERS": "3"}, {"run.max_workers": 4})
    rows = config.flat()
    assert rows["features.repo"] == ("feature_repo", "default")
    assert rows["project.name"] == ("flights", str(path))
    assert rows["tracking.port"] == (5200, "BOXPLAT_TRACKING_PORT")
    assert rows["run.max_workers"] == (4, "flag")
    assert config.endpoints["delay"].env == {"THRESHOLD": "0.3"}
    assert config.services["web"].command[-1] == "${self.port}"


def test_a_task_reads_what_may_be_claimed_from_its_environment(tmp_path: Path) -> None:
    path = write(tmp_path, '[compute]\ncores = 1.5\nmemory_mib = 4000\noveruse = "stop"\n')
    config = load(path, {"BOXPLAT_COMPUTE_RESERVE_MIB": "64"})
    assert config.compute == ComputeConfig(1.5, 4000, 64, "stop")
    assert ComputeConfig.of(child_environment(Paths(tmp_path), config)) == config.compute
    assert ComputeConfig.of({}) == ComputeConfig()


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "boxplat.toml", {}) == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tracking]\nprot = 1\n", ["tracking.prot", "'port'"]),
        ("[trackin]\nport = 1\n", ["'trackin'", "'tracking'"]),
        ("[endpoints.delay]\nmodle = 'x'\n", ["endpoints.delay.modle", "'model'"]),
        ("[tracking]\nport = 'high'\n", ["tracking.port", "whole number", "'high'"]),
        ("[tracking]\nport = 70000\n", ["tracking.port", "65535"]),
        ("[tracking]\nport = true\n", ["tracking.port", "whole number"]),
        ("[run]\nmax_workers = -3\n", ["run.max_workers", "0 or more"]),
        ("[endpoints.delay]\nworkers = -1\n", ["endpoints.delay.workers", "0 or more"]),
        ("[endpoints.delay]\nwaiting = 0\n", ["endpoints.delay.waiting", "1 or more"]),
        ("[endpoints.delay]\ngrpc_port = 70000\n", ["endpoints.delay.grpc_port", "65535"]),
        ("[endpoints.delay]\nlog_sample = 1.5\n", ["endpoints.delay.log_sample", "0 to 1"]),
        ('[endpoints.delay]\nidle = "soon"\n', ["endpoints.delay.idle", "10m"]),
        ('[endpoints.delay]\nidle = "1h"\ngrpc_port = 4000\n', ["endpoints.delay.idle", "grpc_port"]),
        ("[skew.limits]\ndelay = 2\n", ["skew.limits.delay", "0 to 1"]),
        ("[endpoints.delay]\nbody_mib = 0.5\n", ["endpoints.delay.body_mib", "whole number"]),
        ('[compute]\noveruse = "kill"\n', ["compute.overuse", '"report" or "stop"', "'kill'"]),
        ("[compute]\nmemory_mib = -1\n", ["compute.memory_mib", "0 or more"]),
        ("[compute]\ncores = inf\n", ["compute.cores", "a number, 0 or more"]),
        ("[endpoints.delay]\nmemory_mib = 0\n", ["endpoints.delay.memory_mib", "1 or more"]),
        ("tracking = 3\n", ["tracking", "table"]),
        ("endpoints = 5\n", ["endpoints", "table"]),
        ("services = 'web'\n", ["services", "table"]),
        ("[services.web]\ncommand = 'ls'\n", ["services.web.command", "list of texts"]),
        ("[services.'a b']\ncommand = ['ls']\n", ["'a b'", "letters"]),
        ("[project\n", ["cannot read"]),
        ('[export]\nmaterialize = "hourly"\n', ["export.materialize", "cron"]),
        ('[export]\nstorage = "/tmp/bucket"\n', ["export.storage", "s3://"]),
        ('[overlays.prod]\nstorage = "s3://Bucket/"\n', ["overlays.prod.storage", "s3://"]),
        ('[export]\nstorage_endpoint = "https://me:secret@store"\n', ["export.storage_endpoint", "https://host"]),
        ("[overlays.prod.replicas]\ndelay = 0\n", ["overlays.prod.replicas.delay", "1 or more"]),
        ('[gpus.a100]\ntolerations = ["nvidia.com/gpu"]\n', ["gpus.a100.tolerations", "key=value:Effect"]),
        ("[gpus.a]\ndefault = true\n[gpus.b]\ndefault = true\n", ["gpus.b.default", "a is the default"]),
    ],
)
def test_a_mistake_names_the_file_the_key_and_the_nearest_one(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BoxError) as caught:
        load(path, {})
    assert caught.value.code is ExitCode.USAGE
    assert all(word in str(caught.value) for word in [*words, str(path)])


@pytest.mark.parametrize(("text", "value"), [("", "--5"), ("", "²"), ("", "five"), ("tracking = 5", "1")])
def test_a_bad_variable_or_a_variable_over_a_bad_file_is_a_usage_error(tmp_path: Path, text: str, value: str) -> None:
    with pytest.raises(BoxError, match="tracking") as caught:
        load(write(tmp_path, text), {"BOXPLAT_TRACKING_PORT": value})
    assert caught.value.code is ExitCode.USAGE


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_garbage_is_a_usage_error_or_a_config_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "boxplat.toml"
    path.write_bytes(data)
    try:
        load(path, {})
    except BoxError as error:
        assert error.code is ExitCode.USAGE


def test_a_cluster_is_described_by_tables_of_gpus_and_overlays(tmp_path: Path) -> None:
    text = """
    [gpus.mig]
    resource = "nvidia.com/mig-1g.10gb"
    memory_mib = 9728
    tolerations = ["nvidia.com/gpu=present:NoSchedule", "spot:NoExecute"]
    [gpus.mig.selector]
    "nvidia.com/gpu.product" = "H200"
    [overlays.prod]
    components = ["monitoring"]
    [overlays.prod.replicas]
    delay = 3
    """
    config = load(write(tmp_path, text), {"BOXPLAT_EXPORT_STORAGE": "s3://models/box"})
    assert config.gpus["mig"].selector == {"nvidia.com/gpu.product": "H200"}
    assert config.overlays["prod"].replicas == {"delay": 3}
    assert config.export.storage == "s3://models/box"
    assert config.flat()["overlays.prod.replicas.delay"][0] == 3
