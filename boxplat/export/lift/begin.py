"""Where a lift begins: with a new export, with the lift that was interrupted, or with a former one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift.bundle import Bundle, read
from boxplat.export.lift.journal import Lift, Target
from boxplat.export.lift.order import Call

# Of an export that is made for the lift, if nobody says another.
_OVERLAY = "dev"


@dataclass(frozen=True, slots=True)
class Start:
    """The export, the lift that is gone on with (None: a new one), and the number of that which is gone back to."""

    bundle: Bundle
    lift: Lift | None = None
    of: int = 0


def start(call: Call) -> Start:
    """Find or make what is to be lifted.

    Raises:
        BoxError: there is nothing to resume or to go back to (exit code 9), or the export has faults (10).
    """
    if call.order.resume:
        lift = _unfinished(call)
        return Start(read(lift.export, lift.overlay), lift, lift.of)
    if call.order.rollback:
        former = _former(call)
        return Start(read(former.export, former.overlay), of=former.number)
    folder = call.order.source or call.lifts.staged()
    if call.order.source is None:
        call.told("exporting the project")
        call.work.export(folder, call.order.overlay or _OVERLAY)
    bundle = read(folder, call.order.overlay)
    faults = call.work.check(folder)
    if faults:
        raise BoxError(
            f"the export has {len(faults)} faults, so it is not lifted",
            why="\n".join(faults[:10]),
            fix=f"box export --check {folder}",
            code=ExitCode.CHECK_FAILED,
        )
    return Start(bundle)


def continued(call: Call, start: Start) -> Call:
    """The call with what the lift that is gone on with was asked for."""
    if start.lift is None:
        return call
    order, asked = call.order, start.lift.asked
    kept = replace(
        order,
        smoke=order.smoke or asked.get("smoke", ""),
        images=order.images or asked.get("images", False),
        take_over=order.take_over or asked.get("take_over", False),
    )
    return replace(call, order=kept)


def new(call: Call, start: Start, target: Target) -> Lift:
    """A lift of its own, with the export."""
    order = call.order
    asked = {"smoke": order.smoke, "images": order.images, "take_over": order.take_over, "moves": call.moves(None)}
    return call.lifts.begin(start.bundle.folder, target, start.bundle.overlay, start.of, asked)


def _there(call: Call) -> list[Lift]:
    """The lifts to the server, oldest first."""
    return [lift for lift in call.lifts.all() if lift.target.server == call.cluster.server]


def _unfinished(call: Call) -> Lift:
    found = _there(call)
    if not found or found[-1].complete:
        raise BoxError(
            f"nothing to go on with at {call.cluster.server}",
            why=f"lift {found[-1].number} is complete" if found else "nothing was lifted there yet",
            fix="box lift",
            code=ExitCode.NOT_FOUND,
        )
    return found[-1]


def _former(call: Call) -> Lift:
    """The complete lift before the newest, or the one that is asked for."""
    found = _there(call)
    before = [lift for lift in found[:-1] if lift.complete and lift.target.same(found[-1].target)]
    wanted = [lift for lift in before if lift.number == call.order.to or not call.order.to]
    if not wanted:
        raise BoxError(
            f"no lift to go back to at {call.cluster.server}",
            why=f"complete lifts before the newest: {', '.join(str(lift.number) for lift in before) or 'none'}",
            fix="box lift   (of an earlier state of the project)",
            code=ExitCode.NOT_FOUND,
        )
    return wanted[-1]
