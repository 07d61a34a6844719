"""How a rule is written: a small function with a name, which looks at a document, a pod, a container or everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from boxplat.export.check.model import Found, Manifest, Manifests, Rule
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.pointers import Pointer


def _about(look: Callable[..., object]) -> str:
    return " ".join((look.__doc__ or "").split()).rstrip(".")


def each_document(name: str) -> Callable[[Callable[[Manifest], Iterator[Found]]], Rule]:
    """A rule about one manifest; its docstring says what must hold."""
    return lambda look: Rule(name, _about(look), document=look)


def each_pod(name: str) -> Callable[[Callable[[Pod], Iterator[Found]]], Rule]:
    """A rule about one pod, wherever it is asked for; paths are the manifest's."""

    def made(look: Callable[[Pod], Iterator[Found]]) -> Rule:
        def document(manifest: Manifest) -> Iterator[Found]:
            for pod in pods(manifest):
                yield from look(pod)

        return Rule(name, _about(look), document=document)

    return made


def each_container(name: str) -> Callable[[Callable[[Pod, Container], Iterator[Found]]], Rule]:
    """A rule about one container; the paths that it yields are relative to the container."""

    def made(look: Callable[[Pod, Container], Iterator[Found]]) -> Rule:
        def document(manifest: Manifest) -> Iterator[Found]:
            for pod in pods(manifest):
                for container in pod.containers:
                    yield from (((*container.where, *where), what) for where, what in look(pod, container))

        return Rule(name, _about(look), document=document)

    return made


def whole(name: str) -> Callable[[Callable[[Manifests], Iterator[tuple[Manifest, Pointer, str]]]], Rule]:
    """A rule about all manifests of an overlay together."""
    return lambda look: Rule(name, _about(look), whole=look)
