"""What starts a flow by itself: Metaflow's `@schedule`, `@trigger` and `@trigger_on_finish`, read off the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.adapters import flows
from boxplat.core.cron import Cron, parse
from boxplat.core.errors import BoxError, ExitCode

_KINDS = ("schedule", "trigger", "trigger_on_finish")
# Metaflow's own, in AWS's form; the first that is asked for counts.
_SHORT = {"weekly": "0 0 ? * SUN", "hourly": "0 * * * ?", "daily": "0 0 * * ?"}
_EVENT = re.compile(r"[A-Za-z0-9_.-]+")
_PAYLOAD_KEY = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Awaited:
    """An event that a flow waits for: `parameters` maps the flow's parameters to keys of the event's payload.

    `flow` is the flow whose end it is, for `@trigger_on_finish`. `same` is set where the flow maps nothing:
    those that are called like a key take its value.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    flow: str = ""
    same: bool = False


@dataclass(frozen=True, slots=True)
class Starts:
    """When a flow starts by itself: at times, and when all of `events` have come since it last did.

    What has come is forgotten at the times `reset`.
    """

    times: Cron | None = None
    events: tuple[Awaited, ...] = ()
    reset: Cron | None = None


class _Wrong(ValueError):
    """Why a decorator cannot be honoured."""


def read(path: Path) -> tuple[flows.FlowFile, Starts]:
    """A flow file, and what starts its flow.

    Raises:
        BoxError: it is not a flow, or a decorator cannot be honoured (exit code 2).
    """
    declared = flows.read(path)
    tree = ast.parse(path.read_bytes(), filename=str(path))
    found = _decorators(tree, flows.decorators(tree))
    try:
        return declared, _starts(found, declared)
    except _Wrong as error:
        raise BoxError(
            f"{declared.name} in {path.name} cannot start by itself",
            why=str(error),
            fix=f"correct the decorator, then: box schedule list   (the file: {path})",
            code=ExitCode.USAGE,
        ) from error


def to_unix(schedule: str, flow: str) -> str:
    """Five fields as Argo reads them, from five of AWS's or Unix's cron.

    Metaflow documents AWS's form, which always has a `?` and counts the days of the week from 1 (Sunday) instead of 0.

    Raises:
        BoxError: what Argo cannot run (exit code 2).
    """
    try:
        return _unix(schedule)
    except ValueError as error:
        raise BoxError(
            f"the schedule {schedule!r} of {flow} is not one that Argo could run",
            why=str(error),
            fix="write @schedule(cron=...) with minute, hour, day, month and day of the week",
            code=ExitCode.USAGE,
        ) from error


def _unix(schedule: str) -> str:
    fields = schedule.split()
    if len(fields) == 5:
        if any(re.search(r"[LW#]", re.sub(r"[A-Z]{3}", "", part)) for part in (fields[2], fields[4])):
            raise ValueError("L, W and # are known to AWS only")
        if "?" in fields:
            # A step (`2-6/2`) is a count, not a day.
            fields[4] = re.sub(r"(?<![/\d])\d", lambda match: str(int(match[0]) - 1), fields[4])
        fields = ["*" if part == "?" else part for part in fields]
    return parse(" ".join(fields)).text


def _decorators(tree: ast.Module, found: list[ast.expr]) -> dict[str, dict[str, ast.expr]]:
    """The keywords of each of Metaflow's three decorators; the flow's own stand before those of its bases."""
    own = {"metaflow": ""}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "metaflow":
            starred = any(alias.name == "*" for alias in node.names)
            own |= {name: name for name in _KINDS if starred}
            own |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            own |= {alias.asname: "" for alias in node.names if alias.name == "metaflow" and alias.asname}
    constants = _constants(tree)
    kinds: dict[str, dict[str, ast.expr]] = {}
    for item in found:
        call = item.func if isinstance(item, ast.Call) else item
        kind = own.get(call.id, "") if isinstance(call, ast.Name) else ""
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and own.get(call.value.id) == "":
            kind = call.attr
        if kind in _KINDS:
            kinds.setdefault(kind, _keywords(item, constants))
    return kinds


def _keywords(item: ast.expr, constants: Mapping[str, ast.expr]) -> dict[str, ast.expr]:
    if not isinstance(item, ast.Call):
        return {}
    # Metaflow knows neither; what stands there is nothing that can be read by name.
    given = {word.arg or "**": word.value for word in item.keywords}
    if item.args:
        given["*"] = item.args[0]
    return {name: _Inserted(constants).visit(value) for name, value in given.items()}


class _Inserted(ast.NodeTransformer):
    """Puts the module's constants where their names stand."""

    def __init__(self, constants: Mapping[str, ast.expr]) -> None:
        self._constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._constants.get(node.id, node)


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _starts(found: Mapping[str, Mapping[str, ast.expr]], flow: flows.FlowFile) -> Starts:
    values = {kind: {name: _value(kind, name, node) for name, node in words.items()} for kind, words in found.items()}
    if "trigger" in values and "trigger_on_finish" in values:
        raise _Wrong("it has @trigger and @trigger_on_finish, and Argo knows one of them at a time")
    times = _times(values["schedule"]) if "schedule" in values else None
    events: tuple[Awaited, ...] = ()
    options: Mapping[str, Any] = {}
    if "trigger" in values:
        events, options = _awaited(values["trigger"], flow), values["trigger"].get("options") or {}
    elif "trigger_on_finish" in values:
        events, options = _ends(values["trigger_on_finish"]), values["trigger_on_finish"].get("options") or {}
    reset = options.get("reset_at") if isinstance(options, dict) else None
    if reset and not isinstance(reset, dict):
        raise _Wrong(f"reset_at is a mapping with cron and timezone, not {reset!r}")
    return Starts(times, events, _cron(reset.get("cron"), reset.get("timezone")) if reset else None)


def _value(kind: str, name: str, node: ast.expr) -> Any:
    if "*" in name:
        raise _Wrong(f"@{kind} takes keywords only, written out: @{kind}(name=value)")
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        words = ast.unparse(node)
        raise _Wrong(
            f"@{kind}({name}={words}) is computed when Metaflow deploys the flow; here write the value itself"
        ) from error


def _times(words: Mapping[str, Any]) -> Cron | None:
    if words.get("cron"):
        return _cron(words["cron"], words.get("timezone"))
    asked = {"daily": True, **words}
    short = next((cron for name, cron in _SHORT.items() if asked.get(name)), None)
    return _cron(short, words.get("timezone")) if short else None


def _cron(text: object, zone: object) -> Cron:
    """Metaflow leaves out the sixth field, AWS's year."""
    if not isinstance(text, str):
        raise _Wrong(f"a cron expression is a text, not {text!r}")
    try:
        return parse(_unix(" ".join(text.split()[:5])), str(zone or "UTC"))
    except ValueError as error:
        raise _Wrong(f"cron {text!r}: {error}") from error


def _several(words: Mapping[str, Any], one: str, many: str, kind: str) -> list[Any]:
    if words.get(one) and words.get(many):
        raise _Wrong(f"@{kind} takes {one} or {many}, not both")
    several = words.get(many) or []
    if not isinstance(several, list | tuple):
        raise _Wrong(f"{many} of @{kind} is a list, not {several!r}")
    found = [words[one]] if words.get(one) else list(several)
    if not found:
        raise _Wrong(f"@{kind} names no {one}")
    return found


def _awaited(words: Mapping[str, Any], flow: flows.FlowFile) -> tuple[Awaited, ...]:
    found = [_event(item, flow) for item in _several(words, "event", "events", "trigger")]
    names = [event.name for event in found]
    if len(set(names)) < len(names):
        raise _Wrong(f"@trigger names an event twice: {', '.join(names)}")
    mapped = [name.lower() for event in found for name in event.parameters]
    if len(set(mapped)) < len(mapped):
        raise _Wrong("two events are mapped to the same parameter")
    if len(found) == 1 and not mapped:
        # As Metaflow has it: the payload's keys that are called like a parameter.
        same = {name: name.lower() for name in sorted(flow.parameters)}
        return (Awaited(names[0], same, same=True),)
    return tuple(found)


def _event(item: object, flow: flows.FlowFile) -> Awaited:
    told = {"name": item} if isinstance(item, str) else item
    name = told.get("name") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(name, str) or not _EVENT.fullmatch(name):
        raise _Wrong(f"{item!r} is no event: a name of letters, digits, '_', '-' and '.', or a mapping with one")
    pairs = _pairs(name, told.get("parameters") or {})
    known = {parameter.lower(): parameter for parameter in flow.parameters}
    parameters = {}
    for parameter, key in pairs:
        if not isinstance(parameter, str) or not isinstance(key, str) or not _PAYLOAD_KEY.fullmatch(key):
            raise _Wrong(f"event {name!r} maps {parameter!r} to {key!r}, which is no key of a payload")
        if flow.complete and parameter.lower() not in known:
            raise _Wrong(f"event {name!r} is mapped to {parameter!r}, which is no parameter of {flow.name}")
        parameters[known.get(parameter.lower(), parameter)] = key
    return Awaited(name, parameters)


def _pairs(event: str, parameters: object) -> list[tuple[Any, Any]]:
    """Parameter and key, from a mapping or a list of names and pairs."""
    if isinstance(parameters, dict):
        return list(parameters.items())
    pairs = [(item, item) if isinstance(item, str) else item for item in _listed(parameters)]
    if not pairs or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise _Wrong(f"parameters of event {event!r} are a mapping, or a list of names and pairs, not {parameters!r}")
    return [(parameter, key) for parameter, key in pairs]


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _ends(words: Mapping[str, Any]) -> tuple[Awaited, ...]:
    found = []
    for item in _several(words, "flow", "flows", "trigger_on_finish"):
        name = item.get("name") if isinstance(item, dict) else item
        if not isinstance(name, str) or not re.fullmatch(r"(\w+\.[\w.]+\.)?\w+", name, re.ASCII):
            raise _Wrong(f"{item!r} is no flow: its class name, or project.branch.name")
        # A box is one branch of one project.
        flow = name.rpartition(".")[2]
        found.append(Awaited(f"metaflow.{flow}.end", flow=flow))
    return tuple(found)
