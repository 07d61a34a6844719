"""What of an export is run: its documents for one overlay, read back from the YAML that would be applied."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from boxplat.core.errors import not_found
from boxplat.export.model import Document, Export

_ROOT = "METAFLOW_DATASTORE_SYSROOT_S3"
_FLOW = "metaflow/flow_name"


@dataclass(frozen=True, slots=True)
class Template:
    """A flow's WorkflowTemplate. `bucket` and `prefix` (empty, or ending with `/`) say where its datastore is."""

    flow: str
    document: Document
    bucket: str
    prefix: str

    def parameters(self) -> dict[str, str]:
        """The workflow's parameters by the attribute of the flow that each sets."""
        declared = json.loads(self.document["metadata"]["annotations"].get("metaflow/parameters", "{}"))
        return {entry["python_var_name"]: name for name, entry in declared.items()}


class Exported:
    """The documents of one overlay.

    Raises:
        BoxError: there is no such overlay (exit code 9).
    """

    def __init__(self, export: Export, overlay: str) -> None:
        rendered = {file.path: file.text for file in export.files if file.path.startswith("rendered/")}
        text = rendered.get(f"rendered/{overlay}.yaml")
        if text is None:
            known = [path.removeprefix("rendered/").removesuffix(".yaml") for path in rendered]
            raise not_found("overlay", overlay, known, "box export verify --overlay dev")
        self.packages = {path.removeprefix("code/"): blob for path, blob in export.packages.items()}
        self._documents = [entry for entry in yaml.safe_load_all(text) if entry]

    def kind(self, kind: str) -> list[Document]:
        return [entry for entry in self._documents if entry["kind"] == kind]

    def deployments(self) -> dict[str, Document]:
        """The Deployments by name."""
        return {entry["metadata"]["name"]: entry for entry in self.kind("Deployment")}

    def templates(self) -> dict[str, Template]:
        """The WorkflowTemplates by their flows."""
        found = {}
        for entry in self.kind("WorkflowTemplate"):
            flow = entry["metadata"]["annotations"][_FLOW]
            place = urlsplit(next(values(entry, _ROOT)))
            prefix = f"{place.path.strip('/')}/".lstrip("/")
            found[flow] = Template(flow, entry, place.netloc, prefix)
        return found

    def configs(self) -> dict[str, Mapping[str, str]]:
        """The contents of the ConfigMaps."""
        return {entry["metadata"]["name"]: entry.get("data", {}) for entry in self.kind("ConfigMap")}

    def services(self) -> dict[str, Document]:
        """The Services by name."""
        return {entry["metadata"]["name"]: entry for entry in self.kind("Service")}


def values(value: Any, name: str) -> Iterator[str]:
    """The values of every variable of this name, wherever it stands."""
    if isinstance(value, Mapping):
        if value.get("name") == name and "value" in value:
            yield value["value"]
        for item in value.values():
            yield from values(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from values(item, name)
