"""`[outcomes.ENDPOINT]` and `[guards.ENDPOINT]`: what live outcomes mean, and what a new release may not do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutcomesConfig:
    """`[outcomes.ENDPOINT]`: how labels that arrive later are joined to predictions, and what one loses by them.

    Labels carry the prediction's `id` (and `row`), or the columns `keys` that predictions are logged with; with `time`,
    a column of the label, it concerns the predictions as of the time `within` before it. `label` is the column with the
    truth. `loss` is brier, error, log, squared, absolute or "column:NAME", a column of the labels; what is lost beyond
    `bound` is not counted. `prediction` is SQL over the log; `threshold` makes it a decision for the loss `error`.

    Releases are compared at `level`; differences within `margin` are none. `unit` names the key columns of what always
    goes to the same release (none: each request by itself). A unit counts `settle` after its first label.
    """

    keys: tuple[str, ...] = ()
    time: str = ""
    within: str = ""
    label: str = "label"
    loss: str = "brier"
    bound: float = 0.0
    prediction: str = "prediction::double"
    threshold: float = 0.5
    level: float = 0.05
    margin: float = 0.005
    unit: tuple[str, ...] = ()
    settle: str = ""


@dataclass(frozen=True, slots=True)
class GuardsConfig:
    """`[guards.ENDPOINT]`: limits of the newer release of a split, or of one younger than `young`; 0: no limit.

    `errors` is the share of requests that may fail (status 500 and above), `p99_ms` the 99th percentile of the times of
    its answers, `drift` the population stability index of its scores against the older release's, all three over the
    last `window` and from `least` requests on. `alpha` is the level of the test that it is worse than the older release
    on outcomes, `loss` the mean loss on outcomes. It is looked at as often as `every` says.
    """

    errors: float = 0.0
    p99_ms: float = 0.0
    drift: float = 0.0
    alpha: float = 0.0
    loss: float = 0.0
    window: str = "10m"
    least: int = 200
    every: str = "30s"
    young: str = "1d"
