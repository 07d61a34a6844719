"""`box export verify`: the exported flows run against S3 on this machine, and are compared with their local runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sysconfig
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from boxplat.adapters.tracking_logged import Logged, logged, run_ids
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.export_config import VerifyConfig
from boxplat.core.paths import Paths
from boxplat.export import names
from boxplat.export.model import Document, Export
from boxplat.export.verify import compare, events, registry, serving, stand_ins
from boxplat.export.verify.artifacts import Bucket, Folder, RunRecord, by_time, first, latest
from boxplat.export.verify.compare import DIFFERENT, EQUAL, IDENTICAL, Finding, Served, Sources
from boxplat.export.verify.ending import scratch
from boxplat.export.verify.exported import Exported, Template
from boxplat.export.verify.expressions import Unresolved
from boxplat.export.verify.network import Network
from boxplat.export.verify.pods import Missing, Processes, World
from boxplat.export.verify.serving import Live, Place
from boxplat.export.verify.storage import Storage, serve
from boxplat.export.verify.workflow import SUCCEEDED, Finished, Node, Workflow

_TASK = "/task/metaflow"
_NOT_RUNS = frozenset({"data", "runs", "_meta"})
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FlowProof:
    """How one flow compares. `pods` are all pods that ran, `events` the events that they published."""

    flow: str
    local: str
    exported: str
    findings: tuple[Finding, ...]
    pods: tuple[Node, ...]
    events: tuple[str, ...] = ()

    @property
    def differences(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict == DIFFERENT]


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of `box export verify`.

    `data` compares the Parquet files that the flows wrote, features among them, with those of the box, `served` what
    the exported servers answer. `folder` has the pods' output where something differs.
    """

    flows: tuple[FlowProof, ...]
    data: tuple[Finding, ...] = ()
    served: tuple[Served, ...] = ()
    folder: Path | None = None

    @property
    def differences(self) -> int:
        findings = [*self.data, *(finding for one in self.served for finding in one.findings)]
        unlike = sum(finding.verdict == DIFFERENT for finding in findings)
        return unlike + sum(len(flow.differences) for flow in self.flows)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is proved: a project's settings and its export.

    `tracked` are the tracking runs of local runs, by Metaflow's `Flow/run-id`; `live` is what the box serves.
    """

    paths: Paths
    config: Config
    export: Export
    overlay: str = "dev"
    tracked: Mapping[str, str] = field(default_factory=dict)
    live: Live = field(default_factory=Live)

    @property
    def endpoints(self) -> list[str]:
        """Those of the settings, and those that are deployed."""
        return sorted({*self.config.endpoints, *self.live.releases})


def verify(subject: Subject, chosen: Sequence[str] = (), told: Told = lambda line: None) -> Proof:
    """Run the exported flows and compare each with its newest local run that succeeded.

    Then the exported feature server and endpoints are asked, over what the flows have left.

    Args:
        chosen: flows by their class names, and endpoints; none: all of both, flows that have a local run.
        told: hears of every pod that has ended, and of every server that is asked.

    Raises:
        BoxError: no such flow, or it has no local run (exit code 9); this machine has no S3-compatible server or gives
            no namespaces (4); a template that cannot be run (10).
    """
    exported = Exported(subject.export, subject.overlay)
    endpoints = [name for name in subject.endpoints if not chosen or name in chosen]
    pairs = _chosen(subject.paths, exported.templates(), chosen, endpoints)
    kept = False
    with scratch("boxplat-verify-") as folder:
        try:
            proof = _proof(subject, exported, folder, pairs, endpoints, told)
            kept = bool(proof.differences)
            return replace(proof, folder=folder if kept else None)
        finally:
            shutil.rmtree(folder / "s3" if kept else folder, ignore_errors=True)


def _proof(
    subject: Subject,
    exported: Exported,
    folder: Path,
    pairs: Sequence[tuple[Template, RunRecord]],
    endpoints: Sequence[str],
    told: Told,
) -> Proof:
    first = next(iter(exported.templates().values()))
    with contextlib.ExitStack() as held:
        storage = held.enter_context(serve(folder / "s3", first.bucket))
        world = _world(subject, exported, folder, storage)
        taken = held.enter_context(events.webhook(world.hosts[stand_ins.EVENTS], stand_ins.EVENTS_PORT))
        _upload(exported, storage, first.prefix)
        needed = bool(pairs) and _uses_tracking(subject.paths)
        with registry.tracking(exported, world) if needed else contextlib.nullcontext():
            flows = tuple(_proved(subject, world, storage, taken, *pair, told) for pair in pairs)
        data = tuple(_data(subject.paths, folder / "claims" / "data"))
        place = Place(subject.paths, subject.config, exported, world, storage)
        told("asking the exported servers")
        served = [*serving.features(place), *serving.endpoints(place, subject.live, endpoints)]
    return Proof(flows, data, tuple(served))


def differences(paths: Paths, config: Config, flow: str, exported: RunRecord) -> list[Finding]:
    """How a run of an exported flow, wherever it ran, differs from the newest local run that succeeded.

    Raises:
        BoxError: there is no local run (exit code 9).
    """
    local = _local(paths, flow)
    if local is None:
        raise _no_run(flow)
    declared = config.verify.get(flow, VerifyConfig())
    found = compare.tasks(local, exported, declared, _sources(paths, flow))
    return [finding for finding in found if finding.verdict == DIFFERENT]


def arguments(paths: Paths, flow: str, document: Document) -> dict[str, str]:
    """The parameters of the newest local run as those of a workflow of the template; none where there is no run."""
    local = _local(paths, flow)
    return {} if local is None else _parameters(Template(flow, document, "", ""), local)


def _chosen(
    paths: Paths, templates: Mapping[str, Template], chosen: Sequence[str], endpoints: Collection[str]
) -> list[tuple[Template, RunRecord]]:
    """The flows with their newest local runs; none where endpoints alone are chosen.

    A flow that another one reads from succeeded before that one did for the first time, whichever ran last.
    """
    flows = [name for name in chosen if name not in endpoints]
    if templates and chosen and not flows:
        return []
    unknown = [flow for flow in flows if flow not in templates]
    if unknown:
        known = [*templates, *endpoints]
        raise not_found("flow or endpoint", unknown[0], known, "box export verify   (all of them)")
    found = []
    for name in flows or sorted(templates):
        local = _local(paths, name)
        if local is not None:
            found.append((templates[name], local))
        elif flows:
            raise _no_run(name)
    if not found:
        raise _no_run(next(iter(sorted(templates)), "of this project"))
    return sorted(found, key=lambda pair: _began(paths, pair[1].flow))


def _local(paths: Paths, flow: str) -> RunRecord | None:
    store, runs = _runs(paths, flow)
    return latest(store, flow, runs)


def _began(paths: Paths, flow: str) -> tuple[int, str]:
    store, runs = _runs(paths, flow)
    oldest = first(store, flow, runs)
    return by_time(oldest.run if oldest else "")


def _runs(paths: Paths, flow: str) -> tuple[Folder, list[str]]:
    folder = paths.metaflow / ".metaflow" / flow
    runs = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return Folder(folder.parent), [run for run in runs if run not in _NOT_RUNS]


def _no_run(flow: str) -> BoxError:
    return BoxError(
        f"flow {flow} has no local run to compare with",
        why="what an exported flow makes is compared with its newest local run that succeeded",
        fix="box run flows/FILE.py --wait, then: box export verify",
        code=ExitCode.NOT_FOUND,
    )


def _world(subject: Subject, exported: Exported, folder: Path, storage: Storage) -> World:
    namespace = next(iter(exported.templates().values())).document["metadata"]["namespace"]
    (folder / "stand-ins").mkdir()
    network = Network()
    return World(
        folder=folder,
        images=stand_ins.app(subject.paths.root),
        shared={stand_ins.FOLDER: folder / "stand-ins"},
        secrets=stand_ins.secret_values(storage, os.environ, subject.config.export.secrets),
        configs=stand_ins.configs(exported),
        overrides=storage.environment(),
        hosts=stand_ins.addresses(exported, namespace, network),
        hidden=[subject.paths.state],
        namespace=namespace,
        network=network,
    )


def _upload(exported: Exported, storage: Storage, prefix: str) -> None:
    for path, blob in exported.packages.items():
        storage.client().put_object(Bucket=storage.bucket, Key=prefix + path, Body=blob)


def _uses_tracking(paths: Paths) -> bool:
    files = sorted((paths.root / "flows").rglob("*.py"))
    return any("mlflow" in path.read_text(errors="replace") for path in files)


def _proved(
    subject: Subject,
    world: World,
    storage: Storage,
    taken: list[str],
    template: Template,
    local: RunRecord,
    told: Told,
) -> FlowProof:
    name = f"{template.document['metadata']['name']}-verify"
    before, tracking = len(taken), world.folder / "stand-ins"
    tracked = run_ids(tracking)
    with _explained(template.flow):
        workflow = Workflow(
            template.document,
            name,
            Processes(world, os.cpu_count() or 1),
            _parameters(template, local),
            lambda node: told(f"{node.name} {node.status} in {node.seconds:.0f} s"),
        )
        finished = workflow.run()
    record = RunRecord(Bucket(storage, template.prefix), template.flow, f"argo-{name}")
    declared = subject.config.verify.get(template.flow, VerifyConfig())
    found = [*_failed(finished), *compare.tasks(local, record, declared, _sources(subject.paths, template.flow))]
    theirs = logged(tracking, run_ids(tracking) - tracked)
    if theirs.metrics or theirs.params:
        found += _logged(subject, local, theirs, declared)
    return FlowProof(template.flow, local.run, record.run, tuple(found), finished.nodes, tuple(taken[before:]))


def _logged(subject: Subject, local: RunRecord, theirs: Logged, declared: VerifyConfig) -> Iterator[Finding]:
    """What the flow logged, against the tracking run of the local one, where boxplat also records artifacts."""
    own = subject.tracked.get(f"{local.flow}/{local.run}")
    ours = logged(subject.paths.mlflow, [own] if own else [])
    artifacts = {name for task in local.tasks.values() for name in task.artifacts}
    yield from compare.logged("metrics", ours.metrics, theirs.metrics, declared, artifacts)
    yield from compare.logged("parameters", ours.params, theirs.params, declared, artifacts)


def _data(paths: Paths, volume: Path) -> Iterator[Finding]:
    """The tables on the volume against those of the box: the same rows, in whatever order and in whatever bytes."""
    from boxplat.features.contents import contents

    for path in sorted(volume.rglob("*.parquet")):
        name = path.relative_to(volume).as_posix()
        own = paths.data / name
        if not own.exists():
            yield Finding("data", name, DIFFERENT, "in the exported run only")
        elif path.read_bytes() == own.read_bytes():
            yield Finding("data", name, IDENTICAL)
        else:
            ours, theirs = contents(own), contents(path)
            same = ours == theirs
            yield Finding("data", name, EQUAL if same else DIFFERENT, "" if same else f"{ours}, then {theirs}")


def _failed(finished: Finished) -> Iterator[Finding]:
    """A failed workflow is a difference: only runs that succeeded are compared with."""
    if finished.status != SUCCEEDED:
        last = finished.failures()[-1]
        yield Finding(last.name, "", DIFFERENT, f"the workflow failed: {last.message}")


def _parameters(template: Template, local: RunRecord) -> dict[str, str]:
    """The values of the local run, as Argo's parameters; a file that was included keeps its default."""
    task = local.tasks[("_parameters", ())]
    found = {}
    for attribute, name in template.parameters().items():
        if attribute in task.artifacts:
            value = local.value(task, attribute)
            found[name] = json.dumps(value if not isinstance(value, dict | list) else json.dumps(value))
    return found


def _sources(paths: Paths, flow: str) -> Sources:
    packages = sysconfig.get_path("purelib")
    places = {
        f"{_TASK}/.mf_code": "PACKAGES",
        packages: "PACKAGES",
        _TASK: "FLOWS",
        str(paths.root / "flows"): "FLOWS",
        names.DATA: "DATA",
        str(paths.data): "DATA",
        paths.data.relative_to(paths.root).as_posix(): "DATA",
        names.ROOT: "PROJECT",
        str(paths.root): "PROJECT",
    }
    return Sources(paths.root / "flows", _module(paths.root / "flows", flow), places)


def _module(folder: Path, flow: str) -> str:
    found = [path.stem for path in sorted(folder.glob("*.py")) if f"class {flow}(" in path.read_text(errors="replace")]
    return found[0] if found else flow


@contextlib.contextmanager
def _explained(flow: str) -> Iterator[None]:
    try:
        yield
    except (Unresolved, Missing) as error:
        raise BoxError(
            f"the exported template of {flow} cannot run",
            why=str(error),
            fix="box export kubernetes -o DIR, then: box export --check DIR",
            code=ExitCode.CHECK_FAILED,
        ) from error
