"""References between services (`${tracking.url}`): found, ordered and resolved as late as possible.

A declaration never stores a resolved value. Running and exporting differ only in the values given to `resolve`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.core.model import Service

_REFERENCE = re.compile(r"\$\{([a-zA-Z][\w-]*)\.([a-z_]+)\}")
OWN = ("self", "box")


def references(text: str) -> set[str]:
    """Names of the services that a text refers to, without `self` and `box`."""
    return {name for name, _ in _REFERENCE.findall(text) if name not in OWN}


def resolve(text: str, values: Mapping[str, str]) -> str:
    """Replace each `${name.field}` by `values["name.field"]`.

    Raises:
        BoxError: a reference has no value (exit code 2).
    """

    def value(match: re.Match[str]) -> str:
        key = f"{match[1]}.{match[2]}"
        if key not in values:
            raise BoxError(
                f"unknown reference ${{{key}}}{nearest(key, values)}",
                why=f"in {text!r}; known: {', '.join(sorted(values))}",
                fix="correct the reference in boxplat.toml",
                code=ExitCode.USAGE,
            )
        return values[key]

    return _REFERENCE.sub(value, text)


def needs(service: Service) -> set[str]:
    """Every service that must be healthy before this one starts."""
    return set(service.needs).union(*(references(text) for text in service.texts())) - {service.name}


def start_order(services: Iterable[Service]) -> list[str]:
    """Names with dependencies first; stop in reverse.

    Raises:
        BoxError: a reference to an unknown service, or a cycle (exit code 2).
    """
    by_name = {service.name: service for service in services}
    graph = {name: needs(service) for name, service in by_name.items()}
    for name, wanted in graph.items():
        for other in sorted(wanted - by_name.keys()):
            raise BoxError(
                f"service {name!r} refers to {other!r}, which does not exist{nearest(other, by_name)}",
                why=f"declared services: {', '.join(sorted(by_name))}",
                fix="correct the reference in boxplat.toml",
                code=ExitCode.USAGE,
            )
    try:
        return list(TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).static_order())
    except CycleError as error:
        raise BoxError(
            "services refer to each other in a circle",
            why=" → ".join(error.args[1]),
            fix="remove one of these references in boxplat.toml",
            code=ExitCode.USAGE,
        ) from error
