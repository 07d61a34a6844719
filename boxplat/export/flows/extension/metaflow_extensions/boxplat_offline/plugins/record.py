"""What Metaflow understood of a flow, beside the template: its Sensor, its decorators, its parameters.

`argo-workflows create --only-json` compiles the Sensor of `@trigger` and never shows it.
"""

import json
import os
from typing import Any


def install() -> None:
    """Make the compiler write what it knows to `BOXPLAT_EXPORT_RECORD` when it is done."""
    # Its module imports Metaflow, which is not whole before the plug-ins are loaded.
    from metaflow.plugins.argo.argo_workflows import ArgoWorkflows

    compiler: Any = ArgoWorkflows
    compile_sensor = compiler._compile_sensor
    if compile_sensor.__module__ == __name__:
        return

    def recording(self: Any) -> Any:
        sensor = compile_sensor(self)
        with open(os.environ["BOXPLAT_EXPORT_RECORD"], "w", encoding="utf-8") as file:
            json.dump(_record(self, sensor), file, default=str)
        return sensor

    compiler._compile_sensor = recording


def _record(compiler: Any, sensor: Any) -> dict[str, Any]:
    flow = compiler.flow
    return {
        "sensor": sensor.to_json() if sensor else None,
        "steps": {node.name: [_declared(deco) for deco in node.decorators] for node in compiler.graph},
        "flow": [_declared(deco) for decos in flow._flow_decorators.values() for deco in decos],
        "parameters": {name: _parameter(found) for name, found in compiler.parameters.items()},
        "configs": [found["name"] for found in compiler.config_parameters],
    }


def _declared(deco: Any) -> list[Any]:
    return [deco.name, dict(deco.attributes), bool(deco.statically_defined)]


def _parameter(found: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "value", "is_required", "description")
    return {key: found.get(key) for key in kept}
