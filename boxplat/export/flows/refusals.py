"""What of a flow cannot be on a cluster, all of it said at once and before anything is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export import gpus, names
from boxplat.export.flows.resources import gpu_need
from boxplat.export.model import FLOWS, Decorator, Flow, Peak, Policy
from boxplat.export.sensitive import NAMED

_PACKAGES = frozenset({"conda", "pypi", "conda_base", "pypi_base"})
# https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
# Argo's: of parameters, and of templates, which are called like the steps with '-' for '_'.
_PARAMETER = re.compile(r"[-_a-zA-Z0-9]+")
_TEMPLATE = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,126}[a-zA-Z0-9])?")
# Folders that every pod has.
_SHARED = (names.ROOT, names.STATE, "/tmp", "/dev", "/etc", "/usr", "/bin", "/proc", "/mnt")
# Linux ends a word of a command at 128 KiB, and Argo writes parameters as base64 into the first step's.
_LONGEST = 64 * 1024
_PEOPLE = (("home",), ("Users",))
_PATH = re.compile(r"(?:file://)?(~?/[^\s:,;]+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that has to change: where it stands (`AFlow.step` or `AFlow`), what is wrong, and what to write."""

    where: str
    why: str
    fix: str


def check(
    flows: Sequence[Flow],
    policy: Policy,
    measured: Mapping[str, Mapping[str, Peak]],
    root: Path,
    failed: Sequence[BoxError] = (),
) -> None:
    """Refuse flows that would not do on a cluster what they do here.

    Args:
        measured: what steps took, by flow and step.
        root: the project's folder.
        failed: why other flows did not compile.

    Raises:
        BoxError: there is something to change (exit code 2); every such thing is listed. Where one flow did not compile
            and that is all, it is that.
    """
    found = [*_clashes(flows), *_unheard(flows)]
    for flow in flows:
        found += refusals(flow, policy, measured.get(flow.name, {}), root)
    if len(failed) == 1 and not found:
        raise failed[0]
    found += [Refusal(error.what, error.why, error.fix) for error in failed]
    if found:
        many = f"{len(found)} things" if len(found) > 1 else "one thing"
        raise BoxError(
            f"the flows cannot be exported: {many} would not work on a cluster",
            why="\n".join(f"{one.where}: {one.why}\n    change: {one.fix}" for one in found),
            fix="change what is listed, then: box export kubernetes -o DIR",
            code=ExitCode.USAGE,
        )


def refusals(flow: Flow, policy: Policy, measured: Mapping[str, Peak], root: Path) -> list[Refusal]:
    """Everything about one flow that has to change."""
    found = [*_flow_wide(flow, policy), *_parameters(flow, root)]
    for step, decorators in flow.declared.steps.items():
        where = f"{flow.name}.{step}"
        if not _TEMPLATE.fullmatch(step.replace("_", "-")):
            why = (
                "Argo takes names of letters, digits and '_' that neither begin nor end with '_', up to 128 characters"
            )
            found.append(Refusal(where, why, "rename the step"))
        found += _gpu(where, decorators, measured.get(step), policy)
        for deco in decorators:
            found += _step(where, deco, policy, root)
    return found


def _clashes(flows: Sequence[Flow]) -> Iterator[Refusal]:
    taken: dict[str, str] = {}
    for flow in flows:
        name = flow.template["metadata"]["name"]
        if name in taken:
            why = f"on a cluster it is called {name!r}, like {taken[name]}"
            yield Refusal(f"{flow.name} ({flow.file})", why, "rename one of the two classes")
        taken[name] = f"{flow.name} ({flow.file})"


def _unheard(flows: Sequence[Flow]) -> Iterator[Refusal]:
    """A flow in a `@project` tells of its end under the project's name; a box, which is one project, hears both."""
    ends = {}
    for flow in flows:
        noted = flow.template["metadata"].get("annotations", {})
        ends[flow.name] = str(noted.get("metaflow/project_flow_name", flow.name))
    for flow in flows:
        for trigger in json.loads(flow.template["metadata"].get("annotations", {}).get("metaflow/triggers", "[]")):
            awaited = trigger["name"].removeprefix("metaflow.").removesuffix(".end")
            known = ends.get(awaited.rpartition(".")[2], awaited)
            if trigger["type"] == "run" and known != awaited:
                why = f"it waits for the end of {awaited}, and on a cluster that flow is called {known}"
                yield Refusal(flow.name, why, f'@trigger_on_finish(flow="{known}"), or one @project for both')


def _flow_wide(flow: Flow, policy: Policy) -> Iterator[Refusal]:
    for deco in flow.declared.flow:
        yield from _packages(flow.name, deco, policy)


def _packages(where: str, deco: Decorator, policy: Policy) -> Iterator[Refusal]:
    if deco.name in _PACKAGES and not deco.attributes.get("disabled") and "@sha256:" not in policy.images[FLOWS]:
        yield Refusal(
            where,
            f"@{deco.name} makes an environment on the spot, which a pod that may not install anything cannot",
            "build an image with these packages and give it: box export images, or drop the decorator and put the "
            "packages into the project's requirements",
        )


def _step(where: str, deco: Decorator, policy: Policy, root: Path) -> Iterator[Refusal]:
    yield from _packages(where, deco, policy)
    if deco.name == "kubernetes" and deco.written:
        yield Refusal(where, "@kubernetes breaks the run on this machine", "write @resources instead of @kubernetes")
    if deco.name == "secrets":
        for source in deco.attributes.get("sources") or ():
            yield from _secret(where, source, policy)
    if deco.name == "environment":
        for key, value in (deco.attributes.get("vars") or {}).items():
            yield from _variable(f"{where}, variable {key}", str(key), str(value), policy, root)


def _secret(where: str, source: Any, policy: Policy) -> Iterator[Refusal]:
    name = source if isinstance(source, str) else str(source.get("id"))
    if name not in policy.secrets:
        yield Refusal(
            where,
            f"@secrets reads {name!r}, and nothing says that pods may",
            f'name it in boxplat.toml: [export] secrets = ["{name}"]',
        )


def _variable(where: str, key: str, value: str, policy: Policy, root: Path) -> Iterator[Refusal]:
    if not _VARIABLE.fullmatch(key):
        yield Refusal(where, "Kubernetes takes no such name of a variable", "use letters, digits and '_'")
    if key in policy.secrets:
        return
    if NAMED.search(key):
        yield Refusal(
            where,
            "its name says that it is secret, and its value would stand in the manifests",
            f'name it in boxplat.toml, and the Secret `flows` of the cluster supplies it: [export] secrets = ["{key}"]',
        )
    yield from _value(where, value, root)


def _parameters(flow: Flow, root: Path) -> Iterator[Refusal]:
    if sum(len(str(parameter.get("value"))) for parameter in flow.declared.parameters.values()) > _LONGEST:
        why = (
            f"its parameters have more than {_LONGEST // 1024} KiB of defaults, which the command of a pod cannot hold"
        )
        yield Refusal(flow.name, why, "make the longest one an IncludeFile")
    for name, parameter in flow.declared.parameters.items():
        where = f"{flow.name}, parameter {name}"
        if not _PARAMETER.fullmatch(name):
            yield Refusal(where, "Argo takes names of ASCII letters, digits, '_' and '-'", "rename the parameter")
        for text in _texts(_default(parameter)):
            yield from _value(where, text, root)


def _default(parameter: Mapping[str, Any]) -> Any:
    """The default, which Metaflow writes as JSON, of a JSON parameter twice; an `IncludeFile` is uploaded."""
    if parameter["type"] == "FilePath":
        return None
    value = json.loads(parameter["value"])
    return json.loads(value) if parameter["type"] == "JSON" and value is not None else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _value(where: str, text: str, root: Path) -> Iterator[Refusal]:
    if "{{" in text:
        why = "it has '{{', which Argo takes for the beginning of a template"
        yield Refusal(where, why, "put the text together in the step")
    if "\0" in text:
        yield Refusal(where, "it has a zero byte, which no variable can hold", "drop the zero byte")
    path = local_path(text, root)
    if path:
        yield Refusal(
            where,
            f"{path!r} is a path of this machine",
            "use a path below BOXPLAT_DATA or BOXPLAT_PROJECT, which a pod has too, an IncludeFile, or s3://…",
        )


def local_path(text: str, root: Path) -> str:
    """The path in a text that only this machine has; empty if there is none.

    An absolute one counts where it exists here or is in a person's folder; a relative one where it is a file of the
    project, as a pod starts in an empty folder.
    """
    found = _PATH.fullmatch(text)
    if found is None:
        if "/" in text and "\n" not in text and len(text) < 4096 and ".." not in text and (root / text).is_file():
            return text
        return ""
    path = Path(found[1]).expanduser()
    if any(path.is_relative_to(shared) for shared in _SHARED) and not path.is_relative_to(root):
        return ""
    ours = any(path.is_relative_to(folder) for folder in (root, Path.home())) or path.parts[1:2] in _PEOPLE
    return found[1] if ours or path.exists() else ""


def _gpu(where: str, decorators: Sequence[Decorator], peak: Peak | None, policy: Policy) -> Iterator[Refusal]:
    try:
        need = gpu_need(decorators, peak, policy)
        if need is not None:
            gpus.chosen(need, policy.gpus)
    except gpus.Unknown as error:
        yield Refusal(where, str(error), error.fix)
    except ValueError as error:
        yield Refusal(where, str(error), 'write a number of devices, and a size as @vram("6G")')
