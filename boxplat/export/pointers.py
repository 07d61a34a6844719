"""Reading documents that may have any shape, and JSON pointers (RFC 6901) into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Pointer = tuple[str | int, ...]


def written(pointer: Pointer) -> str:
    """`/spec/containers/0`, with `~` and `/` of keys escaped."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in pointer)


def resolve(document: Any, pointer: str) -> Any:
    """What a written pointer leads to.

    Raises:
        LookupError: nothing is there.
    """
    value = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value[key]
        elif isinstance(value, list) and key.isdigit():
            value = value[int(key)]
        else:
            raise LookupError(pointer)
    return value


def at(value: Any, *path: str | int) -> Any:
    """What is at a path, or None."""
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def mapping(value: Any, *path: str | int) -> Mapping[str, Any]:
    """The mapping at a path; an empty one where there is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def text(value: Any, *path: str | int) -> str:
    """The text at a path; an empty one where there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def entries(value: Any, *path: str | int) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """The mappings in the list at a path, each with the path to it."""
    found = at(value, *path)
    for index, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, Mapping):
            yield (*path, index), item


def texts(value: Any, *path: str | int) -> Iterator[tuple[Pointer, str]]:
    """The texts in the list at a path, each with the path to it."""
    found = at(value, *path)
    for index, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, str):
            yield (*path, index), item


def leaves(value: Any, path: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Everything that is neither a mapping nor a list, with the path to it; empty ones too."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def nodes(value: Any, path: Pointer = ()) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """Every mapping, the outer ones first, with the path to it."""
    if isinstance(value, Mapping):
        yield path, value
        for key, item in value.items():
            yield from nodes(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, (*path, index))
