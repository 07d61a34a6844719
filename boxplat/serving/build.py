"""Build a Bento from a folder, without network: `python -m boxplat.serving.build FOLDER VERSION`.

A process of its own, because it imports the user's service, and because BentoML's configuration is global to a process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from boxplat.core.paths import BENTO_FACTS


def build(folder: Path, version: str) -> Path:
    """Put the Bento of a folder into the store under BENTOML_HOME and return where it lies.

    The folder is what `bentoml build` takes: `service.py`, or `bentofile.yaml`, or `pyproject.toml`. Packages are not
    locked: that would ask an index, and boxplat's own constraints already pin them.
    """
    import attr
    from bentoml._internal import configuration
    from bentoml._internal.bento.bento import Bento

    # BentoML looks for uv, and installs it from the network, even where nothing is to be locked.
    configuration.get_uv_command = lambda: ["uv"]  # type: ignore[assignment]
    found = _configuration(folder)
    found = attr.evolve(found, python=attr.evolve(found.python, lock_packages=False))
    facts = _facts(found.service, folder)
    bento = Bento.create(build_config=found, version=version, build_ctx=str(folder)).save()
    path = Path(bento.path)
    # Written last, so that its presence means that the Bento is complete.
    (path / BENTO_FACTS).write_text(json.dumps({"tag": str(bento.tag), **facts}, indent=2), encoding="utf-8")
    return path


def _configuration(folder: Path) -> Any:
    from bentoml._internal.bento.bento import DEFAULT_BENTO_BUILD_FILES
    from bentoml._internal.bento.build_config import BentoBuildConfig

    for name in DEFAULT_BENTO_BUILD_FILES:
        if (folder / name).is_file():
            return BentoBuildConfig.from_file(str(folder / name))
    return BentoBuildConfig(service="")


def _facts(target: str, folder: Path) -> dict[str, Any]:
    """What a declaration and the process need to know and `bento.yaml` does not say."""
    from _bentoml_impl.loader import load  # type: ignore[import-untyped]

    from boxplat.serving.dependencies import in_process

    service = load(target, working_dir=str(folder))
    others = [one for name, one in service.all_services(exclude_urls=True).items() if name != service.name]
    resources = service.config.get("resources") or {}
    everything = [method for one in service.all_services().values() for method in one.apis.values()]
    prefix = service.path_prefix or ""
    return {
        "own_server": not service.has_custom_command() and all(in_process(one) for one in others),
        "workers": service.config.get("workers") or 1,
        "prepares": any(_prepares(one) for one in [service, *others]),
        "gpu": resources.get("gpu") or 0,
        "batches": max((method.max_batch_size for method in everything if method.batchable), default=None),
        "health": "/" + "/".join(part for part in (prefix.strip("/"), "readyz") if part),
    }


def _prepares(service: Any) -> bool:
    """Whether there is something to do once before the workers of a service start."""
    members = (getattr(service.inner, name) for name in dir(service.inner))
    hooks = any(callable(one) and getattr(one, "__bentoml_deployment_hook__", False) for one in members)
    return bool(hooks or service.models or service.needs_task_db())


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve(), sys.argv[2])
