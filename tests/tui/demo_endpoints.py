"""Made-up figures of releases: a canary beside the live one."""

from __future__ import annotations

from boxplat.core.errors import BoxError, not_found
from boxplat.releases.live import Live
from boxplat.releases.traffic import Return

LIVE = (
    Live("delay", 6, 30.0, 41, 1.37, 1.2, 1, 0, 0, 9.0, 35.0, 255.0, 0, 0, 1.4),
    Live("delay", 7, 30.0, 372, 12.4, 13.0, 0, 2, 0, 8.0, 31.0, 118.0, 3, 1, 2.6),
)


def answered(release: int, requests: int, failed: int) -> dict[str, object]:
    labelled = {"predictions": requests, "labelled": requests}
    return {"release": release, "requests": requests, "failed": failed, "p50_ms": 6.9, "p99_ms": 45.8, **labelled}


COMPARISON = {
    "comparison": {
        "effect": {"verdict": "better", "older_loss": 0.1911, "newer_loss": 0.1682},
        "answers": [answered(6, 17985, 0), answered(7, 2015, 3)],
    },
    "said": "delay: release 7 compared with 6, since 2026-11-22 14:10:03+00:00\n\nbrier: -0.023, 95% confidence "
    "sequence -0.0389 to -0.006175, 20000 labelled units\nrelease 7 is better (known since unit 14389)",
}  # fmt: skip
PREDICTIONS = {
    "predictions": [
        {
            "id": f"{number:08x}-a26c", "row": 0, "rows": 1, "time": f"2026-11-22 14:02:0{number}+00:00",
            "status": 500 if number == 2 else 200, "seconds": 0.0445, "release": 6 + number % 2, "shadow": None,
            "keys": None if number == 2 else {"carrier": "MQ", "dest": "航班\x1b[2J"},
            "prediction": None if number == 2 else 0.6525 + number,
            "problem": "ZeroDivisionError" if number == 2 else None,
        }
        for number in range(1, 4)
    ]
}  # fmt: skip


class FakeEndpoints:
    """Gives out `shown`; `back` is what a rollback returns to, or the error that it raises."""

    def __init__(self) -> None:
        self.shown: tuple[Live, ...] = LIVE
        self.back: Return | BoxError = Return({5: 100}, {"model": "delay", "alias": "champion", "version": 1})

    def live(self) -> tuple[Live, ...]:
        return self.shown

    def before(self, name: str) -> Return:
        if name != "delay":
            raise not_found("deployed endpoint", name, ["delay"], f"box deploy {name}")
        if isinstance(self.back, BoxError):
            raise self.back
        return self.back
