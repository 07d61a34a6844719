"""Pods that request what their step declares.

Metaflow takes the larger of `@resources` and the defaults of `@kubernetes` (4096 MB, one core), and gives `@resources`
the same defaults, so a step can never ask for less (Netflix/metaflow#467).
"""

from typing import Any

from metaflow.plugins.kubernetes.kubernetes_decorator import KubernetesDecorator
from metaflow.plugins.resources_decorator import ResourcesDecorator

from . import record


class DeclaredResources(ResourcesDecorator):
    """`@resources` that knows nothing about what the step does not say."""

    defaults: Any = dict.fromkeys(ResourcesDecorator.defaults)


class DeclaredKubernetes(KubernetesDecorator):
    """`@kubernetes` whose cores, memory and disk are those of `@resources`, else the exporter's defaults."""

    def init(self) -> None:
        # Metaflow calls it only where the class itself defines it.
        super().init()  # type: ignore[no-untyped-call]

    def step_init(self, flow: Any, graph: Any, step: Any, decos: Any, *rest: Any) -> None:
        record.install()
        defaults = {key: self.attributes[key] for key in ("cpu", "memory", "disk")}
        super().step_init(flow, graph, step, decos, *rest)  # type: ignore[no-untyped-call]
        declared = [deco.attributes for deco in decos if isinstance(deco, ResourcesDecorator)]
        for key, value in defaults.items():
            said = [attributes[key] for attributes in declared if attributes[key] is not None]
            self.attributes[key] = str(said[-1] if said else value)
