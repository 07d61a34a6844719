"""The project onto a cluster: `box lift` looks, says what it will do, and does it in waves that can be interrupted."""

from __future__ import annotations

from dataclasses import replace

from boxplat.adapters.cluster_access import connect
from boxplat.core.paths import Paths
from boxplat.export.lift.code import Datastore
from boxplat.export.lift.journal import Lifts
from boxplat.export.lift.order import Call, Moves, Order, Told, Work
from boxplat.export.lift.plan import Action, Plan
from boxplat.export.lift.steps import Lifted, run
from boxplat.export.lift.stuck import Patience, Watch

__all__ = ["Action", "Datastore", "Lifted", "Moves", "Order", "Patience", "Plan", "Work", "lift"]


def lift(paths: Paths, context: str, order: Order, work: Work, told: Told, patience: Patience | None = None) -> Lifted:
    """Lift the project to the cluster of a context (empty: the current one).

    Raises:
        BoxError: there is no such cluster, it is not ready, it refuses something, or something on it does not start.
    """
    cluster = connect(context)
    watch = Watch(cluster, replace(patience or Patience(), ready=order.ready))
    return run(Call(order, work, Lifts(paths.state / "lift"), cluster, watch, told))
