"""Which images a project needs, and what goes into each of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import boxplat
from boxplat.core.config import Config
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export import document, names
from boxplat.export.images import imports, locking
from boxplat.export.images.model import APP, BENTO, PACKAGE, Image
from boxplat.export.model import FEATURES, FLOWS, TRACKING, LiveRelease
from boxplat.export.serving.instances import named

_BENTOS = "${box.state}/bentoml/bentos/"
_CONSTRAINTS = Path(boxplat.__file__).parent / "constraints.txt"
_CLUSTER = Path(__file__).parent / "cluster.txt"
_STORES = ("psycopg", "psycopg-binary", "sqlalchemy")
_FEATURES = ("cramjam", "duckdb", "feast[duckdb,redis]", "psutil", "pyarrow", *_STORES)
_FLOWS = ("boto3", "metaflow", "mlflow", "nvidia-ml-py", "psutil", "pyyaml", "requests")
_TRACKING = ("boto3", "mlflow[auth]", "prometheus-flask-exporter", "psutil", "uvicorn", *_STORES)
# What boxplat's own server imports; a model's back end among it.
_SERVING = (
    "bentoml",
    "grpcio",
    "grpcio-health-checking",
    "grpcio-reflection",
    "httptools",
    "numpy",
    "onnxruntime",
    "prometheus-client",
    "psutil",
    "pyarrow",
    "pyyaml",
    "safetensors",
    "starlette",
    "uvicorn",
    "uvloop",
)
# What BentoML puts first of a Bento's commands: a compiler and git, which wheels do not need.
_COMPILER = "apt-get update && apt-get install -q -y --no-install-recommends --allow-remove-essential ca-certificates"
_BASES = re.compile(r"python:\d+\.\d+-slim.*|")


def plan(
    paths: Paths,
    config: Config,
    services: Sequence[Service],
    releases: Mapping[str, Sequence[LiveRelease]] | None = None,
) -> tuple[Image, ...]:
    """The images of a project, by component.

    Args:
        services: the declarations to export; each gets an image.
        releases: those of an endpoint that get requests; each has an image by the name of its Deployment.

    Raises:
        BoxError: a requirement cannot be locked, or a source file is no Python.
    """
    beside = [
        replace(one.service, name=name)
        for endpoint, own in (releases or {}).items()
        for name, one in named(endpoint, own).items()
        if name != endpoint
    ]
    return _Planner(paths, config).images([*(one for one in services if one.name != FEATURES), *beside])


class _Planner:
    """One project with what all its images share."""

    def __init__(self, paths: Paths, config: Config) -> None:
        self._paths = paths
        self._project = names.label_name(config.project.name)
        self._versions = locking.Versions(_versions(_CLUSTER), _versions(_CONSTRAINTS))
        self._repo = paths.root / config.features.repo
        self._features: tuple[str, ...] = _FEATURES if (self._repo / "feature_store.yaml").exists() else ()

    def images(self, services: Sequence[Service]) -> tuple[Image, ...]:
        """Those of the platform and of every service."""
        flows = self._paths.root / "flows"
        found = [self._image(FLOWS, (*_FLOWS, *self._features), [flows, self._repo])]
        if self._features:
            found.append(self._image(FEATURES, self._features, [self._repo]))
        for service in services:
            bento = self._bento(service)
            if service.name == TRACKING:
                found.append(self._image(TRACKING, _TRACKING, [], own_code=False))
            elif bento is not None:
                found.append(self._endpoint(service.name, bento))
            else:
                found.append(self._image(service.name, (*_FLOWS, *self._features), [self._paths.root]))
        return tuple(sorted(found, key=lambda image: image.component))

    def _image(self, component: str, roots: Iterable[str], folders: Sequence[Path], own_code: bool = True) -> Image:
        """Folders of the project keep their places below `/app`."""
        folders = [folder for folder in folders if folder.is_dir()]
        sources = {self._place(folder): folder for folder in folders}
        declared = [one for folder in folders for one in locking.requirements(folder / "requirements.txt")]
        return Image(
            component=component,
            project=self._project,
            lock=self._lock(roots, declared, folders),
            sources={**sources, **_package(own_code)},
            python=_python(),
        )

    def _endpoint(self, component: str, bento: Path) -> Image:
        """The Bento at `/app/bento`, beside the feature repository that it may read."""
        declared = locking.requirements(bento / "env" / "python" / "requirements.txt")
        sources = {f"{APP}/{BENTO}": bento}
        if self._features:
            sources[self._place(self._repo)] = self._repo
        wanted = _image_settings(bento)
        commands = [*wanted.get("commands", ()), *wanted.get("post_commands", ())]
        left_out = [] if _BASES.fullmatch(str(wanted.get("base_image", ""))) else ["base_image"]
        return Image(
            component=component,
            project=self._project,
            lock=self._lock((*_SERVING, *self._features), declared, [bento / "src"]),
            sources={**sources, **_package(True)},
            commands=tuple(command for command in commands if not command.startswith(_COMPILER)),
            python=_python(),
            left_out=tuple(left_out),
        )

    def _lock(self, roots: Iterable[str], declared: Iterable[Requirement], folders: Sequence[Path]) -> dict[str, str]:
        """What the component, requirement files and the code's imports ask for; boxplat's part is in `roots`."""
        asked = [*declared, *map(Requirement, (*roots, *imports.distributions(folders)))]
        return locking.lock((one for one in asked if one.name.lower() != PACKAGE), self._versions)

    def _place(self, folder: Path) -> str:
        return f"{APP}/{folder.relative_to(self._paths.root).as_posix()}".removesuffix("/.")

    def _bento(self, service: Service) -> Path | None:
        """The built Bento that a service runs, if it is an endpoint."""
        for word in service.command:
            if word.startswith(_BENTOS):
                return self._paths.bentoml / "bentos" / word.removeprefix(_BENTOS)
        return None


def _package(own_code: bool) -> dict[str, Path]:
    return {PACKAGE: Path(boxplat.__file__).parent} if own_code else {}


def _versions(file: Path) -> dict[str, str]:
    return locking.constraints(file.read_text(encoding="utf-8"))


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def _image_settings(bento: Path) -> Mapping[str, Any]:
    """What a built Bento says about its image (`bentoml.images.Image`)."""
    file = bento / "bento.yaml"
    content = document.load(file.read_text(encoding="utf-8")) if file.is_file() else None
    wanted = content.get("image") if isinstance(content, Mapping) else None
    return wanted if isinstance(wanted, Mapping) else {}
