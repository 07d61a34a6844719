"""YAML that every reader understands alike, be its rules those of YAML 1.1 (PyYAML), of Go or of YAML 1.2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

# A text may stand bare only if it starts with a letter and is no word that some reader takes for a boolean or null.
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"})
_LINE = re.compile(r"[ -~]*")


class _Dumper(yaml.SafeDumper):
    """JSON's types only, no anchors, texts quoted unless they are harmless."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"'
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        style = ""
    elif _is_block(text):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style or None)


def _is_block(text: str) -> bool:
    """Whether a text of several lines reads the same as a literal block under every reader."""
    lines = text.removesuffix("\n").split("\n")
    framed = len(lines) > 1 and lines[0][:1].strip() and lines[-1]
    return bool(framed) and all(_LINE.fullmatch(line) and line == line.rstrip() for line in lines)


_Dumper.add_representer(str, _text)


def dump(content: Mapping[str, Any]) -> str:
    """One YAML document; keys keep their order.

    Raises:
        yaml.representer.RepresenterError: a value is none of JSON's types.
    """
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=2**31, allow_unicode=False)


def load(text: str) -> Any:
    """The single document of a YAML text.

    Raises:
        ValueError: it is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
