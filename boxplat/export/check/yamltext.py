"""YAML read strictly: no key twice, no alias, no tag, no scalar that two readers take for different things."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

from boxplat.export.pointers import Pointer

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "~", "=", "<<", ".inf", "-.inf", "+.inf", ".nan"})
_ODD = re.compile(
    r"[-+]?0o?\d[\d_]*"  # octal to some, decimal to others
    r"|[-+]?0b[01_]+"
    r"|[-+]?\d[\d_]*_[\d_]*(\.\d*)?"
    r"|[-+]?\d+(:[0-5]?\d)+(\.\d*)?"  # to the base of 60
    r"|[-+]?\d+\.?[eE][-+]?\d+|[-+]?\d*\.\d+[eE]\d+"
    r"|\d{4}-\d\d?-\d\d?([Tt\s].*)?"
)
_PLAIN = frozenset({"true", "false", "null"})
_KINDS = ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value", "merge")
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in _KINDS)


def _plainly(constructor: Any, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return constructor.construct_mapping(node, deep=True)
    return constructor.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value


class _Constructor(yaml.constructor.SafeConstructor):
    """Takes a tag that it does not know for what it stands at; `=` has one of its own in YAML 1.1."""

    yaml_constructors: ClassVar[dict[Any, Any]] = {
        **yaml.constructor.SafeConstructor.yaml_constructors,
        **dict.fromkeys((None, "tag:yaml.org,2002:value"), _plainly),
    }


class Unreadable(ValueError):
    """A text that is no YAML."""


def read(content: str) -> tuple[list[Any], list[tuple[str, Pointer, str]]]:
    """The documents of a text, and what is wrong with its writing: (rule, pointer, what).

    Raises:
        Unreadable: no reader takes it.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents, wrong = [], []
    try:
        for node in yaml.compose_all(content, Loader=loader):
            wrong += list(_writing(node, (), set()))
            documents.append(_Constructor().construct_document(node))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Unreadable(" ".join(str(error).split())) from error
    return documents, wrong


def _writing(node: yaml.Node, path: Pointer, seen: set[int]) -> Iterator[tuple[str, Pointer, str]]:
    if id(node) in seen:
        yield "yaml-alias", path, "an alias: not every tool resolves it in the same way"
        return
    seen.add(id(node))
    if node.tag not in _TAGS:
        yield "yaml-tag", path, f"the tag {node.tag}"
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            yield from _scalar(key, (*path, key.value))
            if key.value in keys:
                yield "yaml-duplicate-key", (*path, key.value), "the key is there twice: the last one wins, or none"
            keys.add(key.value)
            yield from _writing(value, (*path, key.value), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _writing(item, (*path, index), seen)
    else:
        yield from _scalar(node, path)


def _scalar(node: yaml.Node, path: Pointer) -> Iterator[tuple[str, Pointer, str]]:
    if not isinstance(node, yaml.ScalarNode) or node.style:
        return
    word = node.value
    odd = word.lower() in _WORDS or (word.lower() in _PLAIN and word not in _PLAIN) or _ODD.fullmatch(word)
    if odd and word != "0":
        yield "yaml-ambiguous", path, f"{word} is not the same to YAML 1.1, YAML 1.2 and Go: quote it"


ABOUT = {
    "yaml-invalid": "A manifest is YAML",
    "yaml-alias": "A manifest has no anchors and aliases",
    "yaml-tag": "A manifest has no tags",
    "yaml-duplicate-key": "No key is in a mapping twice",
    "yaml-ambiguous": "Every bare word is the same to readers of YAML 1.1, of YAML 1.2 and to Go's",
}
