"""What must hold for Terraform modules and can be seen without a provider: HCL read by python-hcl2."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import hcl2

_SECRET = re.compile(r"password|secret|token|_url$|access_key|online_store")
_PINNED = re.compile(r"~> \d+\.\d+(\.\d+)?")
_OWN = re.compile(r"\b(var|local)\.(\w+)")
_RESOURCE = re.compile(r"\b((?:data\.)?(?:aws|google|kubernetes|random)_\w+)\.(\w+)")
_OUTPUT = re.compile(r"\bmodule\.(\w+)\.(\w+)")
_POOLS = ("aws_eks_node_group", "google_container_node_pool")


@dataclass(frozen=True)
class Module:
    """The blocks of one folder, by kind and name; a resource's name is `type.name`."""

    folder: str
    variables: Mapping[str, Any]
    outputs: Mapping[str, Any]
    locals: Mapping[str, Any]
    resources: Mapping[str, Any]
    calls: Mapping[str, Any]
    providers: Mapping[str, Any]
    text: str


def read(files: Mapping[str, str]) -> dict[str, Module]:
    """Modules by folder, of `.tf` files by path."""
    folders: dict[str, list[str]] = {}
    for path in sorted(files):
        if path.endswith(".tf"):
            folders.setdefault(posixpath.dirname(path), []).append(path)
    return {folder: _module(folder, [files[path] for path in paths]) for folder, paths in folders.items()}


def faults(files: Mapping[str, str]) -> list[str]:
    """`rule: folder: what`, sorted."""
    modules = read(files)
    found = [(rule, module.folder, what) for module in modules.values() for rule, what in _faults(module, modules)]
    return sorted(f"{rule}: {folder}: {what}" for rule, folder, what in found)


def _module(folder: str, texts: list[str]) -> Module:
    blocks: dict[str, dict[str, Any]] = {}
    for text in texts:
        for kind, entries in _plain(hcl2.loads(text)).items():
            for entry in entries if isinstance(entries, list) else []:
                blocks.setdefault(kind, {}).update(_named(kind, entry))
    settings = blocks.get("terraform", {})
    return Module(
        folder=folder,
        variables=blocks.get("variable", {}),
        outputs=blocks.get("output", {}),
        locals=blocks.get("locals", {}),
        resources={**blocks.get("resource", {}), **blocks.get("data", {})},
        calls=blocks.get("module", {}),
        providers=(settings.get("required_providers") or [{}])[0],
        text="\n".join(texts),
    )


def _named(kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in ("resource", "data"):
        return dict(entry)
    prefix = "data." if kind == "data" else ""
    return {f"{prefix}{kind_of}.{name}": body for kind_of, named in entry.items() for name, body in named.items()}


def _plain(value: Any) -> Any:
    """Without the marks and quotes of the parser."""
    if isinstance(value, dict):
        return {key.strip('"'): _plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


def _faults(module: Module, modules: Mapping[str, Module]) -> Iterator[tuple[str, str]]:
    yield from _variables(module)
    yield from _providers(module)
    yield from _pools(module)
    yield from _references(module, modules)
    yield from _calls(module, modules)
    if "0.0.0.0/0" in module.text:
        yield "open-to-the-world", "0.0.0.0/0"
    for name, body in module.outputs.items():
        if not body.get("description"):
            yield "output-undescribed", name
        if _SECRET.search(name) and not body.get("sensitive"):
            yield "secret-shown", name


def _variables(module: Module) -> Iterator[tuple[str, str]]:
    for name, body in module.variables.items():
        if not body.get("type"):
            yield "variable-untyped", name
        if not body.get("description"):
            yield "variable-undescribed", name
        secret = body.get("sensitive") or _SECRET.search(name)
        if secret and "default" in body:
            yield "secret-with-default", name
        if _SECRET.search(name) and not body.get("sensitive"):
            yield "secret-shown", name


def _providers(module: Module) -> Iterator[tuple[str, str]]:
    used = {kind.removeprefix("data.").partition("_")[0] for kind in module.resources}
    for name in sorted(used - module.providers.keys()):
        yield "provider-undeclared", name
    for name, body in module.providers.items():
        if not _PINNED.fullmatch(str(body.get("version", ""))):
            yield "provider-unpinned", name


def _pools(module: Module) -> Iterator[tuple[str, str]]:
    for name, body in module.resources.items():
        if not name.startswith(_POOLS) or "gpu" not in name:
            continue
        text = json.dumps(body)
        taints = [*body.get("taint", []), *(taint for node in body.get("node_config", []) for taint in node["taint"])]
        if not any((taint["key"], taint["effect"]) == ("nvidia.com/gpu", "NO_SCHEDULE") for taint in taints):
            yield "gpu-pool-untainted", name
        if not re.search(r'"(total_min_node_count|min_size)": 0\b', text):
            yield "gpu-pool-not-empty", name
        if "var.gpu_spot" not in text:
            yield "gpu-pool-without-spot", name


def _references(module: Module, modules: Mapping[str, Module]) -> Iterator[tuple[str, str]]:
    declared = {"var": module.variables, "local": module.locals}
    code = re.sub(r"(?m)^\s*#.*$", "", module.text)
    for kind, name in set(_OWN.findall(code)):
        if name not in declared[kind]:
            yield "reference-undeclared", f"{kind}.{name}"
    for name in module.variables.keys() - {name for kind, name in _OWN.findall(code) if kind == "var"}:
        yield "variable-unused", name
    for kind, name in set(_RESOURCE.findall(code)):
        if f"{kind}.{name}" not in module.resources:
            yield "reference-undeclared", f"{kind}.{name}"
    for call, output in set(_OUTPUT.findall(code)):
        source = _source(module, call, modules)
        if source is None or output not in source.outputs:
            yield "reference-undeclared", f"module.{call}.{output}"


def _calls(module: Module, modules: Mapping[str, Module]) -> Iterator[tuple[str, str]]:
    for call, body in module.calls.items():
        source = _source(module, call, modules)
        if source is None:
            yield "module-missing", call
            continue
        given = body.keys() - {"source", "count", "for_each", "depends_on", "providers"}
        wanted = {name for name, variable in source.variables.items() if "default" not in variable}
        yield from (("argument-unknown", f"{call}.{name}") for name in given - source.variables.keys())
        yield from (("argument-missing", f"{call}.{name}") for name in wanted - given)


def _source(module: Module, call: str, modules: Mapping[str, Module]) -> Module | None:
    path = module.calls.get(call, {}).get("source", "")
    return modules.get(posixpath.normpath(posixpath.join(module.folder, path)))
