"""Made-up registered models: a champion that serves, a challenger that its gates refused, and one never judged."""

from __future__ import annotations

from boxplat.core.errors import BoxError
from boxplat.core.model import ModelVersion
from boxplat.core.registry import Alias, BackEnd, Gate, Judged, Registered, Serving, Standing
from tests.tui.demo import NOW

GATES = (
    Gate(
        "metric", "refused", "gain over the champion surely above -0.005", "auc 0.6983, gain -0.0762: worse", "0.7746"
    ),
    Gate("size", "passed", "at most 10 MiB", "0.67 MiB", ""),
    Gate("latency ratio", "not judged", "at most 2 times", "there is no champion yet", ""),
)
BACK_ENDS = (
    BackEnd("eager", "accepted", "", 1.0, {"1": 90.0}, 210.0, None),
    BackEnd("onnxruntime", "chosen", "", 0.41, {"1": 36.0, "32": 120.0}, 120.0, 1e-7),
    BackEnd("onnxruntime-int8", "refused", "the AUC is worse by 0.004", 0.3, {}, 100.0, 0.02),
)


def judged(moved: bool, gates: tuple[Gate, ...], forced: bool = False) -> Judged:
    return Judged(9, NOW - 3600, "ada/cli", "champion", moved, forced, "it looked best", "", 2, 111_565, 122, gates)


def version(number: int, aliases: tuple[str, ...] = (), **metrics: float) -> ModelVersion:
    return ModelVersion("delay", number, aliases, f"{number}" * 32, NOW - 90_000 / number, {"kind": "demo"}, metrics)


def models() -> tuple[Registered, ...]:
    """`delay` with three versions: 3 refused, 2 the champion and live, 1 before it."""
    versions = (
        Standing(version(3, ("challenger",), auc=0.9195, brier=0.0734), 14, judged(False, GATES), (), (), ()),
        Standing(
            version(2, ("champion",), auc=0.7746, brier=0.1348),
            12,
            judged(True, GATES[1:2]),
            BACK_ENDS,
            (Serving("delay", 7, 90, False),),
            ("delay@7",),
        ),
        Standing(version(1, auc=0.763), None, None, (), (Serving("delay", 6, 10, False),), ("delay@6", "delay@5")),
    )
    aliases = (Alias("challenger", 3, None, ()), Alias("champion", 2, 1, ("delay",)))
    return (Registered("delay", "auc", True, aliases, ("delay",), versions, "http://127.0.0.1:5000/#/models/delay"),)


def history() -> dict[str, object]:
    """What `box models history delay --json` prints."""

    def period(begin: float, end: float | None, weights: dict[str, int], shadow: int | None, entry: int) -> object:
        said = {"begin": NOW - begin, "end": None if end is None else NOW - end, "weights": weights, "shadow": shadow}
        return {"endpoint": "delay", "period": {**said, "by": "ada/cli", "kind": "split", "reason": "", "entry": entry}}

    live = [
        period(7200, 3600, {"5": 100}, None, 2),
        period(3600, 60, {"6": 100}, 7, 3),
        period(60, None, {"7": 90, "6": 10}, None, 5),
    ]
    return {"history": {"name": "delay", "live": live}}


class FakeModels:
    """Gives out `shown`; `error` is raised instead."""

    def __init__(self) -> None:
        self.shown = models()
        self.error: BoxError | None = None

    def status(self) -> tuple[Registered, ...]:
        if self.error is not None:
            raise self.error
        return self.shown
