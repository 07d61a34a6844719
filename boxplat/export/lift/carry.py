"""A plan carried out, in steps that can be repeated: whoever is interrupted goes on where it stopped."""

from __future__ import annotations

from dataclasses import asdict

from boxplat.adapters.cluster import Kind, Refusal
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift import code, fill, rollout, smoke
from boxplat.export.lift.bundle import Bundle, Ref, read, ref
from boxplat.export.lift.findings import stop_if_blocked
from boxplat.export.lift.journal import Lift
from boxplat.export.lift.order import Call
from boxplat.export.lift.plan import Action, Kinds, Plan, compare, labelled, pruned
from boxplat.export.lift.put import put
from boxplat.export.lift.refusals import refused
from boxplat.export.lift.waves import waves
from boxplat.export.model import Document


def out(call: Call, lift: Lift, plan: Plan, kinds: Kinds) -> str:
    """Images, dry run, migration, waves, pruning and smoke run; returns the name of the smoke run's workflow.

    Raises:
        BoxError: something is refused, stuck, or gives other results on the cluster.
    """
    if call.builds(lift):
        _build(call, lift, plan.overlay)
    whole = read(lift.export, plan.overlay)
    bundle = whole.without(plan.given)
    _namespace(call, lift, bundle, kinds)
    call.told(f"dry run of {len(bundle.documents)} objects on the server")
    tried = compare(call.cluster, kinds, bundle, call.order.take_over, call.told)
    stop_if_blocked(tried.refused, f"{plan.target.context} at {plan.target.server}")
    if call.moves(lift):
        call.told("moving history and data")
        lift.note("migrated", facts=call.work.migrate(plan.overlay, call.told) if call.work.migrate else {})
    sent = code.upload(bundle)
    call.told(f"{sent} code packages put into the object store")
    for name, documents in waves(bundle.documents):
        call.told(f"wave: {name} ({len(documents)})")
        for document in documents:
            _apply(call, lift, kinds, document)
        rollout.wait(call.watch, kinds, documents, call.told)
        lift.note("wave", name=name)
    fill.online_store(call, lift, bundle)
    _prune(call, lift, plan, whole, kinds)
    return _smoke(call, lift, bundle) if call.order.smoke and not lift.of else ""


def _build(call: Call, lift: Lift, overlay: str) -> None:
    if call.work.images is not None and call.work.images(call.told):
        call.told("exporting again with the digests of the images")
        call.work.export(lift.export, overlay)
    lift.note("images")


def _namespace(call: Call, lift: Lift, bundle: Bundle, kinds: Kinds) -> None:
    """Made first: in a namespace that does not exist nothing can be tried."""
    for document in bundle.documents:
        name = ref(document)
        if name.kind == "Namespace" and call.cluster.read(kinds[name.api_version, name.kind], name.name) is None:
            _apply(call, lift, kinds, document)


def _apply(call: Call, lift: Lift, kinds: Kinds, document: Document) -> None:
    name = ref(document)
    kind = kinds[name.api_version, name.kind]
    # Before the request: what may be there must be known to whoever prunes, even after a kill.
    if name not in lift.objects():
        lift.note("applied", ref=asdict(name))
    put(call, kind, document, force=call.order.take_over)


def _prune(call: Call, lift: Lift, plan: Plan, bundle: Bundle, kinds: Kinds) -> None:
    former = call.lifts.objects(plan.target) | labelled(call.cluster, kinds, bundle)
    for step in pruned(former, bundle):
        name = step.ref
        if step.action is Action.LEAVE:
            call.told(f"{name} stays, for it holds data or is shared; to delete it: kubectl {_deletion(name)}")
            continue
        kind = kinds.get((name.api_version, name.kind)) or call.cluster.kind(name.api_version, name.kind)
        try:
            if kind is not None and _ours(call, kind, name) and call.cluster.delete(kind, name.name, name.namespace):
                call.told(f"{name}: deleted")
        except Refusal as refusal:
            raise refused(name, refusal, "delete") from refusal
        lift.note("pruned", ref=asdict(name))


def _deletion(name: Ref) -> str:
    place = f"-n {name.namespace} " if name.namespace else ""
    return f"{place}delete {name.kind.lower()} {name.name}"


def _ours(call: Call, kind: Kind, name: Ref) -> bool:
    live = call.cluster.read(kind, name.name, name.namespace)
    return live is not None and live["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "boxplat"


def _smoke(call: Call, lift: Lift, bundle: Bundle) -> str:
    flow, template = smoke.chosen(bundle, call.order.smoke)
    before = lift.last("smoke")
    workflow = str(before["workflow"]) if before else ""
    if not workflow:
        parameters = call.work.parameters(flow, template) if call.work.parameters else {}
        workflow = smoke.submit(call.watch, bundle, template["metadata"]["name"], parameters)
        lift.note("smoke", workflow=workflow)
    try:
        smoke.wait(call.watch, bundle.namespace, workflow, call.told)
        _compare(call, bundle, flow, workflow)
    except BoxError as error:
        if error.code != ExitCode.TIMED_OUT:
            # Whoever goes on wants another try, not the same answer.
            lift.note("smoke", workflow="")
        raise
    return workflow


def _compare(call: Call, bundle: Bundle, flow: str, workflow: str) -> None:
    store = code.datastore(bundle)
    differences = call.work.compare(flow, workflow, store) if call.work.compare and store else ()
    if differences:
        raise BoxError(
            f"{flow} gives other results on the cluster than here",
            why="\n".join(differences[:10]),
            fix="box export verify   (does the flow vary from run to run? else: box lift --rollback)",
            code=ExitCode.CHECK_FAILED,
        )
