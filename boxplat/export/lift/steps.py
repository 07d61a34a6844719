"""A lift from its beginning to its end: look, plan, ask, carry out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boxplat.core.errors import BoxError
from boxplat.export.lift import begin, carry, look
from boxplat.export.lift.findings import stop_if_blocked
from boxplat.export.lift.journal import Lift
from boxplat.export.lift.order import Call
from boxplat.export.lift.plan import Plan


@dataclass(frozen=True, slots=True)
class Lifted:
    """What became of a lift: its plan, its number (0: nothing was done), and the workflow of its smoke run."""

    plan: Plan
    number: int = 0
    workflow: str = ""


def run(call: Call) -> Lifted:
    """Do what is ordered.

    Raises:
        BoxError: something stops it; what was done is in the journal, and `--resume` goes on from there.
    """
    with call.lifts.alone():
        start = begin.start(call)
        call = begin.continued(call, start)
        plan, kinds = look.plan(call, start)
        if call.order.plan:
            return Lifted(plan)
        stop_if_blocked(plan.findings, f"{plan.target.context} at {plan.target.server}")
        if not call.work.agreed(plan):
            return Lifted(plan)
        lift = start.lift or begin.new(call, start, plan.target)
        with _journaled(call, lift, plan):
            workflow = carry.out(call, lift, plan, kinds)
        return Lifted(plan, lift.number, workflow)


@contextmanager
def _journaled(call: Call, lift: Lift, plan: Plan) -> Iterator[None]:
    facts: dict[str, Any] = {
        "lift": lift.number,
        "server": plan.target.server,
        "namespace": plan.target.namespace,
        "overlay": plan.overlay,
        "digest": plan.digest,
        "of": plan.of,
    }
    call.work.recorded("lift.began", facts)
    try:
        yield
    except BoxError as error:
        lift.note("failed", what=error.what, why=error.why)
        call.work.recorded("lift.failed", {**facts, "what": error.what})
        raise
    lift.note("done")
    call.work.recorded("lift.done", facts)
