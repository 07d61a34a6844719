"""A box full of made-up work: for the tests, for looking at the dashboard, and for pictures of it.

`python -m tests.tui.demo` runs the dashboard on it; `--svg OUT --screen runs --size 140x40` takes a picture.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from boxplat.core.model import (
    Endpoint,
    Event,
    Gpu,
    GpuProcess,
    Release,
    Run,
    RunState,
    ServiceStatus,
    Snapshot,
    State,
    Supervisor,
)
from tests.tui.demo_runs import PastRuns

GIB = 1024**3
MIB = 1024**2
NOW = 1_795_000_000.0


def services(now: float) -> tuple[ServiceStatus, ...]:
    return (
        ServiceStatus(
            "tracking",
            "service",
            True,
            State.RUNNING,
            4101,
            5000,
            "http://127.0.0.1:5000",
            0,
            now - 8040,
            "",
            "",
            262 * MIB,
            2.4,
        ),
        ServiceStatus(
            "features",
            "service",
            True,
            State.STARTING,
            4150,
            6566,
            "http://127.0.0.1:6566",
            0,
            now - 4,
            "",
            "",
            91 * MIB,
            None,
        ),
        ServiceStatus(
            "delay",
            "endpoint",
            True,
            State.RUNNING,
            4200,
            3000,
            "http://127.0.0.1:3000",
            1,
            now - 260,
            "",
            "",
            388 * MIB,
            6.1,
        ),
    )


def runs(now: float) -> tuple[Run, ...]:
    def run(number: int, name: str, state: RunState, ago: float, took: float | None, **more: object) -> Run:
        began = now - ago
        ended = began + took if took is not None else None
        fields: dict[str, object] = {
            "params": {},
            "pathspec": f"{name}/{1763000000 + number}",
            "tracking_run_id": f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}",
            "pid": 5000 + number,
        } | more
        flow = f"flows/{name.removesuffix('Flow').lower()}.py"
        return Run(number, flow, name, state, created=began - 1, started=began, ended=ended, **fields)  # type: ignore[arg-type]

    return (
        run(14, "TrainFlow", RunState.RUNNING, 101, None, params={"epochs": "12", "seeds": "3"}),
        run(13, "ScoreFlow", RunState.FAILED, 940, 31, error="KeyError: 'tailnum'", params={"month": "12"}),
        run(12, "TrainFlow", RunState.SUCCEEDED, 2500, 58.4, params={"epochs": "12", "seeds": "3"}),
        run(11, "MaterializeFlow", RunState.SUCCEEDED, 3100, 6.2),
        run(10, "PrepareFlow", RunState.SUCCEEDED, 3400, 22.7),
        run(9, "IngestFlow", RunState.CANCELLED, 5200, 3.3),
        run(8, "IngestFlow", RunState.SUCCEEDED, 7900, 17.9),
    )


def endpoints(now: float) -> tuple[Endpoint, ...]:
    def release(number: int, version: int, ago: float, state: str) -> Release:
        return Release(
            "delay", number, f"delay:9f3a{number}c", "delay", version, "delay_v1", "4be1", now - ago, "ada/cli", state
        )

    found = (release(7, 3, 260, "live"), release(6, 2, 172800, "retired"), release(5, 1, 777600, "retired"))
    return (
        Endpoint("delay", "http://127.0.0.1:3000", State.RUNNING, {7: 90, 6: 10}, found),
        Endpoint("cancelled", None, State.STOPPED, {}, ()),
    )


def gpus(now: float) -> tuple[Gpu, ...]:
    busy = round(62 + 30 * math.sin(now / 7))
    owned = (
        GpuProcess(5014, "python flows/train.py", round(6.2 * GIB)),
        GpuProcess(4200, "python -m boxplat.serving", round(1.9 * GIB)),
        GpuProcess(991, "Xorg", 210 * MIB),
    )
    held = sum(process.memory_bytes or 0 for process in owned)
    return (Gpu(0, "NVIDIA H200", "GPU-5b1e", 139 * GIB, held, busy, 300.0 + 2 * busy, 700.0, 61, owned),)


def events(now: float) -> tuple[Event, ...]:
    told: list[tuple[float, str, str, dict[str, object]]] = [
        (8045, "tracking", "service.started", {"pid": 4101}),
        (8040, "tracking", "service.healthy", {"seconds": 2.4}),
        (7901, "run/8", "run.queued", {"flow": "flows/ingest.py", "by": "ada/cli"}),
        (7882, "run/8", "run.succeeded", {"seconds": 17.9}),
        (3094, "features", "features.materialized", {"rows": 4312, "views": 3}),
        (940, "run/13", "run.started", {"pid": 5013}),
        (909, "run/13", "run.failed", {"exit_code": 1, "error": "KeyError: 'tailnum'"}),
        (300, "delay", "release.created", {"number": 7, "model": "delay v3", "by": "ada/cli"}),
        (266, "delay", "service.exited", {"exit_code": -9}),
        (260, "delay", "service.healthy", {"seconds": 6.1}),
        (259, "delay", "endpoint.traffic", {"7": 90, "6": 10}),
        (102, "run/14", "run.queued", {"flow": "flows/train.py", "by": "ada/tui"}),
        (101, "run/14", "run.started", {"pid": 5014}),
        (4, "features", "service.started", {"pid": 4150}),
    ]
    return tuple(
        Event(number, now - ago, subject, kind, data) for number, (ago, subject, kind, data) in enumerate(told, 1)
    )


def busy(now: float = NOW, root: str = "demo") -> Snapshot:
    """A box in the middle of a working day."""
    return Snapshot(
        at=now,
        project="flights",
        root=root,
        supervisor=Supervisor(4000, now - 8050, "ada/cli", 31 * MIB),
        services=services(now),
        runs=runs(now),
        endpoints=endpoints(now),
        gpus=gpus(now),
        gpu_note="",
        events=events(now),
    )


def empty(now: float = NOW, root: str = "demo") -> Snapshot:
    """A box that was just made and started."""
    note = "no NVIDIA GPU here: the driver's library is not installed"
    return Snapshot(now, "flights", root, Supervisor(4000, now, "ada/cli"), (), (), (), (), note, ())


class DemoBox(PastRuns):
    """A box whose clock runs: what is running goes on, and its log grows."""

    def __init__(self, root: Path, moving: bool = True) -> None:
        self.root = root
        self._moving = moving
        from tests.tui.demo_endpoints import FakeEndpoints
        from tests.tui.demo_models import FakeModels
        from tests.tui.demo_queue import FakeQueue

        self.models = FakeModels()
        self.endpoints = FakeEndpoints()
        self.queue = FakeQueue(time.time())
        self._began = time.time()
        super().__init__(lambda: runs(self._began))
        (root / "flows").mkdir(exist_ok=True)
        for name, parameters in (("ingest", ()), ("train", ("epochs", "seeds"))):
            lines = [f"    {key} = Parameter('{key}', default=3)" for key in parameters] or ["    pass"]
            (root / "flows" / f"{name}.py").write_text("class F(FlowSpec):\n" + "\n".join(lines) + "\n")
        self._log = root / "run.log"
        self._log.write_text("")

    def snapshot(self) -> Snapshot:
        now = time.time()
        with self._log.open("a") as log:
            for step, line in enumerate(_LOG if self._log.stat().st_size == 0 else _LOG[-1:]):
                stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now - len(_LOG) + step))
                log.write(f"{stamp}.{step * 137 % 1000:03d} {line.format(epoch=round(now - self._began) + 4)}\n")
        shown = busy(self._began, str(self.root))
        return replace(shown, at=now, gpus=gpus(now)) if self._moving else shown

    def beginning(self) -> tuple[()]:
        return ()

    def events(self, after: int = 0, *_: object, **__: object) -> list[Event]:
        return [one for one in events(self._began) if one.id > after]

    def event_since(self, moment: float) -> int:
        return next((one.id for one in events(self._began) if one.at >= moment), 0)

    def log_path(self, subject: str) -> Path | None:
        return self._log


_LOG = (
    "[1763000014/start/1 (pid 5020)] Task is starting.",
    "[1763000014/start/1 (pid 5020)] Task finished successfully.",
    "[1763000014/load/2 (pid 5021)] Task is starting.",
    "[1763000014/load/2 (pid 5021)] 336,776 flights, 26,115 hours of weather",
    "[1763000014/load/2 (pid 5021)] Task finished successfully.",
    "[1763000014/fit/3 (pid 5022)] Task is starting.",
    "[1763000014/fit/4 (pid 5023)] Task is starting.",
    "[1763000014/fit/4 (pid 5023)] CUDA is not available: training on 2 cores",
    "[1763000014/fit/5 (pid 5024)] Task is starting.",
    "[1763000014/fit/5 (pid 5024)] epoch {epoch}  loss 0.412  validation AUC 0.7731",
)


def main() -> None:
    from boxplat_tui.app import BoxApp
    from boxplat_tui.frame import frame, text_of

    parser = argparse.ArgumentParser()
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--keys", default="")
    parser.add_argument("--size", default="140x40")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--theme", default="")
    arguments = parser.parse_args()
    columns, rows = map(int, arguments.size.split("x"))
    keys = tuple(key for key in arguments.keys.split(",") if key)
    with tempfile.TemporaryDirectory() as folder:
        app = BoxApp(DemoBox(Path(folder)), ascii=arguments.ascii)
        if arguments.theme:
            app.call_later(lambda: setattr(app, "theme", arguments.theme))
        if arguments.svg:
            picture = frame(app, (columns, rows), keys, lambda seen: seen.export_screenshot(title="box tui"))
            arguments.svg.write_text(picture, encoding="utf-8")
        elif arguments.text:
            print(frame(app, (columns, rows), keys, text_of))
        else:
            app.run()


if __name__ == "__main__":
    main()
