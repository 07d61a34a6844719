"""A project whose endpoint has three releases: one with most requests, a newer one with some, and a shadow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from boxplat.adapters import tracking
from boxplat.core.config import Config
from boxplat.core.export_config import GpuConfig, OverlayConfig
from boxplat.core.live import GuardsConfig
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export import ExportInput, LiveRelease, Policy

MAIN, CANARY, SHADOW = "delay", "delay-r8", "delay-r9"
GUARDS = GuardsConfig(errors=0.02, p99_ms=50, drift=0.2, window="10m", least=200, every="30s")


def declared(number: int, grpc: bool = True, gpu: int = 0) -> Service:
    """As `bentos.service` declares a release."""
    folder = f"${{box.state}}/bentoml/bentos/delay/c{number}"
    grpc_flags = ("--grpc-port", "${self.grpc_port}") if grpc else ()
    flags = ("--log", "${box.state}/predictions/delay", *grpc_flags, "--workers", "2", "--waiting", "64")
    return Service(
        name="delay",
        command=("${box.python}", "-m", "boxplat.serving.worker", folder, "--fd", "${self.fd}", *flags),
        kind="endpoint",
        env={
            "MLFLOW_TRACKING_URI": "${tracking.url}",
            "BOXPLAT_RELEASE": str(number),
            "BOXPLAT_MODEL_URI": f"models:/delay/{number}",
            "PROMETHEUS_MULTIPROC_DIR": "${box.state}/bentoml/metrics-delay",
            "PRICE": "a$$b $(HOME) $1",
        },
        port=3000,
        listen=True,
        health="/readyz",
        cwd=folder,
        start_seconds=120.0,
        grpc_port=4000 if grpc else 0,
        gpu_memory_mib=gpu,
    )


def release(number: int, weight: int, shadow: bool = False, grpc: bool = True, gpu: int = 0) -> LiveRelease:
    return LiveRelease(number, weight, shadow, f"delay:c{number}", f"delay/{number}", declared(number, grpc, gpu))


def project(*releases: LiveRelease, **changed: object) -> ExportInput:
    """A project without flows; by default with releases 7 (90 %), 8 (10 %) and 9 (a shadow)."""
    live = releases or (release(7, 90), release(8, 10), release(9, 0, shadow=True))
    main = max(live, key=lambda one: (one.weight, one.number))
    root = Path("/nowhere")
    policy = Policy(
        project="wild",
        namespace="wild",
        images={
            name: f"boxplat/wild-{name}:0123456789ab"
            for name in (MAIN, CANARY, SHADOW, "delay-r7", "flows", "tracking")
        },
        storage="s3://wild",
        gateway="edge/public",
        gpus={"small": GpuConfig(resource="nvidia.com/mig-1g.10gb", memory_mib=9728, selector={"gpu": "h200"})},
    )
    made = ExportInput(
        root=root,
        policy=policy,
        flows=(),
        services=(tracking.service(Config(), Paths(root)), main.service),
        overlays={"prod": OverlayConfig(hosts={"delay": "delay.example.org"}, components=("monitoring",))},
        releases={"delay": live},
        guards={"delay": GUARDS},
    )
    return replace(made, **changed)  # type: ignore[arg-type]
