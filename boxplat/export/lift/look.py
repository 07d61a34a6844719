"""The plan of a lift: everything that can be known before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator

from boxplat.core.errors import BoxError
from boxplat.export.lift import capacity, code, preflight, reach, smoke
from boxplat.export.lift.begin import Start
from boxplat.export.lift.findings import Finding, blocked, note
from boxplat.export.lift.journal import Target
from boxplat.export.lift.order import Call, Moves
from boxplat.export.lift.plan import Compared, Kinds, Plan, compare, dangers, labelled, pruned


def plan(call: Call, start: Start) -> tuple[Plan, Kinds]:
    """Look at the cluster and compare the export with it. Changes nothing."""
    bundle, cluster = start.bundle, call.cluster
    target = Target(cluster.server, bundle.namespace, cluster.context)
    call.told(f"looking at {target.context} ({target.server})")
    kinds, missing = preflight.kinds(cluster, bundle)
    given = preflight.given(cluster, kinds, bundle)
    applied = bundle.without(given)
    used = {pair: kind for pair, kind in kinds.items() if pair in applied.kinds}
    denied = preflight.rights(cluster, used, bundle.namespace, bool(call.order.smoke))
    findings = [*preflight.version(cluster), *missing, *denied]
    findings += [note("given", f"{name} is there as it should be; you may not change it") for name in given]
    first, compared = not call.lifts.to(target), Compared()
    # Without the rights to look, every further answer would only be another refusal.
    if not denied:
        compared = compare(cluster, kinds, applied, call.order.take_over, call.told)
        findings += [*preflight.stranger(cluster, bundle, not first), *preflight.secrets(cluster, bundle)]
        findings += [*capacity.quota(cluster, bundle, compared.live), *capacity.gpus(cluster, bundle)]
        findings += [*capacity.storage(cluster, bundle, compared.live), *compared.refused, *compared.warned]
    former = call.lifts.objects(target) | (set() if denied else labelled(cluster, kinds, bundle))
    steps = (*compared.steps, *pruned(former, bundle))
    moves = call.work.migration(bundle.overlay) if call.moves(start.lift) else Moves()
    findings += [*_outside(call, start, moves), *dangers(steps, first, call.order.take_over, target)]
    work = tuple(_work(call, start, moves))
    made = Plan(target, bundle.overlay, bundle.digest, steps, tuple(findings), work, start.of, tuple(given))
    return made, kinds


def _outside(call: Call, start: Start, moves: Moves) -> Iterator[Finding]:
    bundle = start.bundle
    if not start.of:
        yield from code.reachable(bundle)
    if not call.builds(None):
        yield from reach.bare(bundle)
    yield from reach.registries(bundle, call.work.asks)
    yield from (blocked("migration", problem, "box export migrate --plan") for problem in moves.problems)
    forgotten = start.lift and start.lift.asked.get("moves") and not start.lift.did("migrated")
    if forgotten and not call.moves(start.lift):
        yield blocked("migration", "this lift is to move history and data", "box lift --resume --to-database-env NAME")
    if call.order.smoke:
        try:
            smoke.chosen(bundle, call.order.smoke)
        except BoxError as error:
            yield blocked("smoke", f"{error.what}; {error.why}", error.fix)


def _work(call: Call, start: Start, moves: Moves) -> Iterator[str]:
    """What is done besides the objects, in order."""
    if start.of:
        yield f"goes back to lift {start.of}; databases and data stay as they are"
        return
    if call.builds(start.lift):
        yield "builds and pushes the images, then exports again with their digests"
    yield from moves.lines
    if found := code.packages(start.bundle):
        yield f"puts the flows' code into the object store ({len(found)} packages)"
    if call.order.smoke:
        yield f"runs {call.order.smoke} once on the cluster and compares it with its newest run here"
