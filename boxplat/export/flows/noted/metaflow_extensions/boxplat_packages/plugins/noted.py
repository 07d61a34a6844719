"""`@conda` and `@pypi` that are noted and do nothing: the packages of a pod are those of its image."""

from typing import Any

from metaflow.decorators import FlowDecorator, StepDecorator

_PYPI: dict[str, Any] = {"packages": {}, "python": None, "disabled": None}
_CONDA: dict[str, Any] = {**_PYPI, "libraries": {}}


class NotedConda(StepDecorator):
    """`@conda` that resolves no environment."""

    name = "conda"
    defaults: Any = _CONDA


class NotedPypi(StepDecorator):
    """`@pypi` that resolves no environment."""

    name = "pypi"
    defaults: Any = _PYPI


class NotedCondaBase(FlowDecorator):
    """`@conda_base` that resolves no environment."""

    name = "conda_base"
    defaults: Any = _CONDA


class NotedPypiBase(FlowDecorator):
    """`@pypi_base` that resolves no environment."""

    name = "pypi_base"
    defaults: Any = _PYPI
