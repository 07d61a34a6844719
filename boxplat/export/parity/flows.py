"""What flows declare: times, events, parameters, and what each step asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from boxplat.core.config import StartsConfig
from boxplat.export.model import Declared, Decorator, Document, ExportInput, Flow, Peak
from boxplat.export.parity.model import Carried
from boxplat.export.parity.shelf import Shelf, named, shown
from boxplat.export.pointers import Pointer, at, entries, mapping, text
from boxplat.export.sensitive import is_secret

_LAST = "Argo makes up for the last of the missed times only"
_RESOURCES = ("cpu", "memory", "gpu", "disk", "shared_memory", "vram")
_LOCAL = {
    "batch": "AWS Batch is another back end than the one exported to",
    "batch_job": "AWS Batch is another back end than the one exported to",
    "airflow_external_task_sensor": "Airflow is another back end than the one exported to",
    "airflow_s3_key_sensor": "Airflow is another back end than the one exported to",
}


def rows(inputs: ExportInput, shelf: Shelf) -> Iterator[Carried]:
    """Every declaration of every flow."""
    templates = {
        text(one, "metadata", "annotations", "metaflow/flow_name"): (name, one)
        for name, one in shelf.of_kind("WorkflowTemplate")
    }
    for flow in inputs.flows:
        name, template = templates.get(flow.name, ("", {}))
        reader = _Reader(flow, name, template, shelf)
        yield shelf.row(flow.name, "flow", flow.file, ("WorkflowTemplate", name, ("spec", "entrypoint")))
        yield from reader.parameters(flow.declared)
        for decorator in _written(flow.declared.flow):
            yield from reader.of_flow(decorator)
        for step, decorators in sorted(flow.declared.steps.items()):
            for decorator in _written(decorators):
                yield from reader.of_step(step, decorator)
        yield from reader.measured(inputs.measured.get(flow.name, {}))
        yield from reader.starts(inputs.schedules.get(flow.name))


def _written(decorators: Any) -> list[Decorator]:
    return [one for one in decorators if one.written]


class _Reader:
    """Finds what one flow declares in its template and in what goes with it."""

    def __init__(self, flow: Flow, name: str, template: Document, shelf: Shelf) -> None:
        self._flow, self._name, self._template, self._shelf = flow, name, template, shelf
        self._code = next((f"code/{path}" for path in sorted(flow.packages)), "")

    def parameters(self, declared: Declared) -> Iterator[Carried]:
        base: Pointer = ("spec", "arguments", "parameters")
        for name, parameter in declared.parameters.items():
            place = named(self._template, name, *base)
            yield self._at(self._flow.name, f"parameter {name}", parameter.get("value"), place)
        for name in declared.configs:
            yield self._inside(self._flow.name, f"config {name}", "as it was when the flow was compiled")

    def of_flow(self, decorator: Decorator) -> Iterator[Carried]:
        kinds: Mapping[str, Callable[[Decorator], Iterator[Carried]]] = {
            "schedule": self._schedule,
            "trigger": self._trigger,
            "trigger_on_finish": self._trigger,
            "project": self._project,
        }
        look = kinds.get(decorator.name)
        yield from self._other(self._flow.name, decorator) if look is None else look(decorator)

    def of_step(self, step: str, decorator: Decorator) -> Iterator[Carried]:
        of = f"{self._flow.name}/{step}"
        place = self._step(step)
        match decorator.name:
            case "retry":
                times, wait = (decorator.attributes.get(key) for key in ("times", "minutes_between_retries"))
                yield self._below(of, "retry times", times, place, "retryStrategy", "limit", nothing=times in (0, "0"))
                yield self._below(of, "retry wait, minutes", wait, place, "retryStrategy", "backoff", "duration")
            case "timeout":
                yield self._below(of, "time-out", _seconds(decorator), place, "activeDeadlineSeconds")
            case "resources" | "kubernetes" | "vram":
                yield from self._resources(of, decorator, place)
            case "environment":
                for name, value in mapping(decorator.attributes, "vars").items():
                    yield self._variable(of, name, value, place)
            case "parallel":
                yield self._below(of, "parallel", "a process each", place, "resource", "manifest")
            case _:
                yield from self._other(of, decorator)

    def measured(self, peaks: Mapping[str, Peak]) -> Iterator[Carried]:
        for step, peak in sorted(peaks.items()):
            place = self._step(step)
            of = f"{self._flow.name}/{step}"
            if place is None:
                yield Carried(of, "measured peak", shown(_peak(peak)), why_not="the flow has this step no more")
            else:
                yield self._below(of, "measured peak", _peak(peak), place, *self._asked(place), "memory")

    def starts(self, settings: StartsConfig | None) -> Iterator[Carried]:
        if settings is None:
            return
        of, cron = self._flow.name, ("CronWorkflow", self._name)
        policy: Pointer = ("spec", "concurrencyPolicy")
        none = "the flow has no schedule, so nothing can be missed or overlap"
        row = self._shelf.row
        yield row(of, "overlap", settings.overlap, (*cron, policy), why_not=none)
        late: Pointer = ("spec", "startingDeadlineSeconds")
        if settings.missed == "all" and self._shelf.document(*cron) is not None:
            yield Carried(of, "missed times", settings.missed, why_not=_LAST)
        else:
            yield row(of, "missed times", settings.missed, (*cron, late), why_not=none)
        for name in settings.after:
            yield Carried(
                of, "not before", name, why_not="Argo knows no flow that must have ended once: suspend it first"
            )

    def _schedule(self, decorator: Decorator) -> Iterator[Carried]:
        given = {key: value for key, value in decorator.attributes.items() if value}
        zone = given.pop("timezone", None)
        cron = ("CronWorkflow", self._name)
        none = "" if given else "it is switched off in the source"
        yield self._shelf.row(self._flow.name, "schedule", given, (*cron, ("spec", "schedules", 0)), why_not=none)
        if zone:
            yield self._shelf.row(self._flow.name, "time zone", zone, (*cron, ("spec", "timezone")))

    def _trigger(self, decorator: Decorator) -> Iterator[Carried]:
        given = {key: value for key, value in decorator.attributes.items() if value}
        for name, sensor in self._shelf.of_kind("Sensor"):
            if self._name in shown_all(sensor):
                yield self._shelf.row(
                    self._flow.name, decorator.name, given, ("Sensor", name, ("spec", "dependencies"))
                )
                return
        yield Carried(self._flow.name, decorator.name, shown(given))

    def _project(self, decorator: Decorator) -> Iterator[Carried]:
        place = ("WorkflowTemplate", self._name, ("metadata", "name"))
        yield self._shelf.row(self._flow.name, "project", decorator.attributes.get("name"), place)

    def _other(self, of: str, decorator: Decorator) -> Iterator[Carried]:
        given = {key: value for key, value in decorator.attributes.items() if value not in (None, "", [], {})}
        if decorator.name in _LOCAL:
            yield Carried(of, decorator.name, shown(given), why_not=_LOCAL[decorator.name])
        else:
            yield self._inside(of, decorator.name, given)

    def _resources(self, of: str, decorator: Decorator, place: Pointer | None) -> Iterator[Carried]:
        for key in _RESOURCES:
            value = decorator.attributes.get(key)
            if value in (None, "", 0, "0"):
                continue
            found = self._resource(key, place)
            if found is None and key == "vram":
                why = "the whole device that [gpus] gives the step is its own"
                yield Carried(of, "vram", shown(value), why_not=why)
            else:
                yield self._at(of, f"{decorator.name} {key}", value, found)

    def _resource(self, key: str, place: Pointer | None) -> Pointer | None:
        if place is None:
            return None
        if at(self._template, *place, "resource") is not None:
            return (*place, "resource", "manifest")
        asked = (*place, *self._asked(place))
        limits = (*asked[:-1], "limits")
        if key in ("gpu", "vram"):
            devices = [name for name in mapping(self._template, *limits) if "/" in name]
            return (*limits, devices[0]) if devices else None
        if key == "shared_memory":
            volumes = entries(at(self._template, *place), "volumes")
            memory = next((path for path, one in volumes if at(one, "emptyDir", "medium") == "Memory"), None)
            return None if memory is None else (*place, *memory, "emptyDir")
        return (*asked, {"disk": "ephemeral-storage"}.get(key, key))

    def _asked(self, place: Pointer) -> Pointer:
        """Where a step's requests are, below its template."""
        if at(self._template, *place, "resource") is not None:
            return ("resource", "manifest")
        return ("container", "resources", "requests")

    def _variable(self, of: str, name: str, value: Any, place: Pointer | None) -> Carried:
        value = "a secret" if is_secret(name) else value
        if place is None:
            return Carried(of, f"variable {name}", shown(value))
        if at(self._template, *place, "resource") is not None:
            inside = f"name: {name}\n" in text(self._template, *place, "resource", "manifest")
            found: Pointer | None = (*place, "resource", "manifest") if inside else None
        else:
            env = named(at(self._template, *place), name, "container", "env")
            found = None if env is None else (*place, *env)
        return self._at(of, f"variable {name}", value, found)

    def _step(self, step: str) -> Pointer | None:
        return next(
            (
                path
                for path, one in entries(self._template, "spec", "templates")
                if text(one, "name") in (step, step.replace("_", "-")) and ({"container", "resource"} & set(one))
            ),
            None,
        )

    def _below(
        self, of: str, what: str, value: Any, place: Pointer | None, *path: str | int, nothing: bool = False
    ) -> Carried:
        if nothing:
            return Carried(of, what, shown(value), why_not="nothing is asked for")
        if path[-2:] == ("manifest", "memory"):
            path = path[:-1]
        return self._at(of, what, value, None if place is None else (*place, *path))

    def _at(self, of: str, what: str, value: Any, pointer: Pointer | None) -> Carried:
        if pointer is None:
            return Carried(of, what, shown(value))
        return self._shelf.row(of, what, value, ("WorkflowTemplate", self._name, pointer))

    def _inside(self, of: str, what: str, value: Any) -> Carried:
        """What Metaflow does within the task: the task's code carries it."""
        return Carried(of, what, shown(value), self._code, "done by the task itself" if self._code else "")


def shown_all(document: Document) -> str:
    return repr(document)


def _seconds(decorator: Decorator) -> str:
    units = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
    given = decorator.attributes
    return f"{sum(int(given.get(key) or 0) * factor for key, factor in units.items())} s"


def _peak(peak: Peak) -> str:
    found = {"MiB": peak.memory_mib, "MiB of a GPU": peak.vram_mib, "cores": peak.cpu}
    return ", ".join(f"{value:.4g} {unit}" for unit, value in found.items() if value)
