"""What a person asks of a lift, and what the rest of boxplat does for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxplat.adapters.cluster import Cluster
from boxplat.export.lift.code import Datastore
from boxplat.export.lift.journal import Lift, Lifts
from boxplat.export.lift.plan import Plan
from boxplat.export.lift.reach import ask
from boxplat.export.lift.stuck import Watch
from boxplat.export.model import Document

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Args:
        overlay: the variant (empty: the only one).
        source: an export that is there already, instead of a new one of the project.
        plan: only show what would be done.
        resume: go on with the lift that was interrupted or failed.
        rollback: apply the export of an earlier lift again: the one numbered `to`, or the last that was complete.
        take_over: take fields over that others set, instead of being refused.
        images: build and push the images first.
        smoke: the flow to run once at the end (empty: none).
        ready: seconds that a wave may take.
    """

    overlay: str = ""
    source: Path | None = None
    plan: bool = False
    resume: bool = False
    rollback: bool = False
    to: int = 0
    take_over: bool = False
    images: bool = False
    smoke: str = ""
    ready: float = 900.0


@dataclass(frozen=True, slots=True)
class Moves:
    """What of history and data goes over, one line each, and why that would be refused."""

    lines: Sequence[str] = ()
    problems: Sequence[str] = ()


def _unsaid(overlay: str) -> Moves:
    """Nothing is known of it before."""
    return Moves()


def _silent(kind: str, facts: Mapping[str, Any]) -> None:
    """The audit log of somebody who keeps none."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is done besides the cluster.

    Args:
        export: writes the project's export of an overlay to a folder.
        check: the faults of an export, one line each.
        agreed: shows the plan and asks; False: nothing is done.
        images: builds and pushes the images; True: their digests changed, so that the export is to be made anew.
        migrate: moves history and data to the stores of an overlay, and tells what it moved; None: there is nothing to
            move.
        migration: describes that before, for an overlay.
        parameters: those of the newest run here of a flow, for a workflow of its template.
        compare: the differences between a flow's run as a workflow, in the datastore, and its newest run here.
        recorded: writes an event to the audit log: kind, facts.
        asks: the status that an address answers with; OSError where nobody does.
    """

    export: Callable[[Path, str], None]
    check: Callable[[Path], Sequence[str]]
    agreed: Callable[[Plan], bool]
    images: Callable[[Told], bool] | None = None
    migrate: Callable[[str, Told], Mapping[str, Any]] | None = None
    migration: Callable[[str], Moves] = _unsaid
    parameters: Callable[[str, Document], Mapping[str, str]] | None = None
    compare: Callable[[str, str, Datastore], Sequence[str]] | None = None
    recorded: Callable[[str, Mapping[str, Any]], None] = _silent
    asks: Callable[[str], int] = ask


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `box lift`: the order and what it works with."""

    order: Order
    work: Work
    lifts: Lifts
    cluster: Cluster
    watch: Watch
    told: Told

    def builds(self, lift: Lift | None) -> bool:
        """Whether the images are still to be made; never for an export that is there already."""
        forward = self.order.images and not self.order.rollback and self.order.source is None
        return forward and self.work.images is not None and not (lift and (lift.of or lift.did("images")))

    def moves(self, lift: Lift | None) -> bool:
        """Whether history and data are still to be moved."""
        forward = not self.order.rollback and not (lift and lift.of)
        return forward and self.work.migrate is not None and not (lift and lift.did("migrated"))
