"""What a check reads and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from boxplat.export.model import Document
from boxplat.export.parity import Carried
from boxplat.export.pointers import Pointer, mapping, text

# Where in a document, and what is wrong there.
Found = tuple[Pointer, str]


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """A broken rule: its name, `Kind/name` or the file, the JSON pointer (RFC 6901) to the place, and what is wrong."""

    rule: str
    of: str
    where: str
    what: str


@dataclass(frozen=True)
class Manifest:
    """One document as the cluster will get it."""

    document: Document

    @property
    def kind(self) -> str:
        return text(self.document, "kind")

    @property
    def group(self) -> str:
        """The API group, empty for the core's."""
        version = text(self.document, "apiVersion")
        return version.rpartition("/")[0]

    @property
    def name(self) -> str:
        return text(self.document, "metadata", "name")

    @property
    def title(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def spec(self) -> Mapping[str, Any]:
        return mapping(self.document, "spec")


@dataclass(frozen=True)
class Manifests:
    """All documents of one overlay, and what the export's lock says."""

    all: tuple[Manifest, ...]
    lock: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def titles(self) -> frozenset[str]:
        return frozenset(one.title for one in self.all)

    def of_kind(self, *kinds: str) -> Iterator[Manifest]:
        return (one for one in self.all if one.kind in kinds)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold, by a name that a fault is found under.

    `document` looks at one manifest alone, `whole` at all of an overlay; each rule is one of the two.
    """

    name: str
    about: str
    document: Callable[[Manifest], Iterator[Found]] | None = None
    whole: Callable[[Manifests], Iterator[tuple[Manifest, Pointer, str]]] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found in an export.

    `overlays` were read, with `documents` in all; `parity` says where each declared thing went. `unchecked` names what
    could not be looked at here, and why.
    """

    faults: tuple[Fault, ...]
    parity: tuple[Carried, ...]
    overlays: tuple[str, ...] = ()
    documents: int = 0
    versions: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
