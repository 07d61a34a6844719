"""Argo's workflows and schedules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from boxplat.core.cron import parse
from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import workflow, writing
from boxplat.export.check.rules import each_document, whole
from boxplat.export.pointers import Pointer, entries, mapping, nodes, text, texts

_BODIES = frozenset(
    {"container", "script", "resource", "dag", "steps", "suspend", "http", "data", "containerSet", "plugin"}
)


@each_document("argo-schedule")
def schedule(manifest: Manifest) -> Iterator[Found]:
    """A CronWorkflow has `schedules`, a list of five-field times, and not the `schedule` that Argo 4 removed."""
    if manifest.kind != "CronWorkflow":
        return
    if "schedule" in manifest.spec:
        yield ("spec", "schedule"), "Argo 4 does not know it: schedules is a list"
    listed = list(texts(manifest.document, "spec", "schedules"))
    if not listed:
        yield ("spec", "schedules"), "no time"
    for path, line in listed:
        try:
            parse(line)
        except ValueError as error:
            yield path, f"{line!r}: {error}"


@each_document("time-zone-unknown")
def time_zone(manifest: Manifest) -> Iterator[Found]:
    """A time zone is one of the IANA data base."""
    for key in ("timezone", "timeZone"):
        zone = manifest.spec.get(key)
        if zone is None:
            continue
        try:
            ZoneInfo(str(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield ("spec", key), f"{zone!r} is no time zone"


@each_document("cron-invalid")
def cron(manifest: Manifest) -> Iterator[Found]:
    """The times of a CronJob are five fields that cron reads."""
    if manifest.kind == "CronJob":
        line = text(manifest.document, "spec", "schedule")
        try:
            parse(line)
        except ValueError as error:
            yield ("spec", "schedule"), f"{line!r}: {error}"


@whole("argo-template-ref")
def template_ref(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """A workflow template that a schedule, a sensor or a task refers to is in the export."""
    for manifest in manifests.of_kind("CronWorkflow", "Workflow", "WorkflowTemplate", "Sensor"):
        for path, node in nodes(manifest.document):
            name = text(node, "workflowTemplateRef", "name")
            if name and f"WorkflowTemplate/{name}" not in manifests.titles:
                yield manifest, (*path, "workflowTemplateRef"), f"no WorkflowTemplate {name!r}"
            name = text(node, "templateRef", "name")
            if name and f"WorkflowTemplate/{name}" not in manifests.titles:
                yield manifest, (*path, "templateRef"), f"no WorkflowTemplate {name!r}"


@each_document("argo-entrypoint")
def entrypoint(manifest: Manifest) -> Iterator[Found]:
    """A workflow starts and ends with templates that it has."""
    path, spec = workflow(manifest)
    names = {text(template, "name") for _, template in entries(spec, "templates")}
    if not names:
        return
    if text(spec, "entrypoint") not in names:
        yield (*path, "entrypoint"), f"no template {spec.get('entrypoint')!r}"
    if "onExit" in spec and spec["onExit"] not in names:
        yield (*path, "onExit"), f"no template {spec['onExit']!r}"
    for name, hook in mapping(spec, "hooks").items():
        if "template" in mapping(hook) and hook["template"] not in names:
            yield (*path, "hooks", name), f"no template {hook['template']!r}"


@each_document("argo-template")
def template(manifest: Manifest) -> Iterator[Found]:
    """A template has a name of its own and does exactly one thing."""
    path, spec = workflow(manifest)
    found = list(entries(spec, "templates"))
    counted = Counter(text(one, "name") for _, one in found)
    for place, one in found:
        name = text(one, "name")
        if not name or counted[name] > 1:
            yield (*path, *place, "name"), f"{name!r} is the name of {counted[name]} templates"
        bodies = sorted(_BODIES & set(one))
        if len(bodies) != 1:
            yield (*path, *place), f"it is {', '.join(bodies) or 'nothing'}"


@each_document("argo-manifest")
def resource(manifest: Manifest) -> Iterator[Found]:
    """The manifest that a template creates is YAML that every reader takes alike."""
    path, spec = workflow(manifest)
    for place, one in entries(spec, "templates"):
        if "resource" in one:
            yield from (((*path, *place, "resource", "manifest"), what) for what in writing(one))


@each_document("argo-deadline")
def deadline(manifest: Manifest) -> Iterator[Found]:
    """A step that runs a container is given up at some time, and a retry is limited."""
    path, spec = workflow(manifest)
    steps = {
        text(task, "template") for _, graph in entries(spec, "templates") for _, task in entries(graph, "dag", "tasks")
    }
    for place, one in entries(spec, "templates"):
        bounded = "activeDeadlineSeconds" in one or "activeDeadlineSeconds" in spec
        if text(one, "name") in steps and ("container" in one or "script" in one) and not bounded:
            yield (*path, *place, "activeDeadlineSeconds"), "no end"
        strategy = one.get("retryStrategy")
        if isinstance(strategy, dict) and not str(strategy.get("limit", "")).isdigit():
            yield (*path, *place, "retryStrategy", "limit"), f"{strategy.get('limit')!r} is no number of times"


@each_document("argo-kept-for-ever")
def kept(manifest: Manifest) -> Iterator[Found]:
    """Workflows and their pods are cleared away some time after their end."""
    path, spec = workflow(manifest)
    if manifest.kind in ("WorkflowTemplate", "Workflow") and spec:
        if not mapping(spec, "ttlStrategy"):
            yield (*path, "ttlStrategy"), "workflows are kept for ever"
        if not mapping(spec, "podGC"):
            yield (*path, "podGC"), "pods are kept for ever"


RULES = (
    schedule,
    time_zone,
    cron,
    template_ref,
    entrypoint,
    template,
    resource,
    deadline,
    kept,
)
