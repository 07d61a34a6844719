"""Texts that must not leave this machine: secrets, its paths and addresses, references that nothing resolves."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from boxplat.export.check.model import Found, Manifest
from boxplat.export.check.pods import Container, Pod
from boxplat.export.check.rules import each_container, each_document
from boxplat.export.pointers import Pointer, entries, leaves, text
from boxplat.export.sensitive import is_secret

SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b|\bASIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bxox[baprs]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}|\bhf_[A-Za-z0-9]{30,}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|[a-z][a-z0-9+.-]*://[^\s:/@\"'$]+:[^\s/@\"'$]+@"
)
_MACHINE = re.compile(r"(?<![\w.:/-])(?:/home/|/Users/|/root/|[A-Z]:\\Users\\)[^\s\"':;,]*|\bfile:///[^\s\"']*")
_LOOPBACK = re.compile(r"\b(?:127\.0\.0\.1|localhost|\[?::1\]?)(?::\d+)?\b")
# `${tracking.url}`; what Feast, bash and Grafana expand has no dot.
_UNRESOLVED = re.compile(r"\$\{[a-z][\w-]*\.[\w.-]+\}|__PLACEHOLDER_\w+")
_LIKELY = 3.5


@each_container("secret-value")
def secret_value(pod: Pod, container: Container) -> Iterator[Found]:
    """A variable whose name says that it is secret gets its value from a Secret."""
    for path, entry in entries(container.spec, "env"):
        name, value = text(entry, "name"), text(entry, "value")
        if value and is_secret(name) and not _dull(value):
            yield (*path, "value"), f"the value of {name} is written out"


def _dull(value: str) -> bool:
    """Whether a value is too plain to be a secret: a switch, a number, an expression of Argo's."""
    return value.lower() in ("true", "false", "none", "null", "{}") or value.isdigit() or value.startswith("{{")


@each_document("secret-text")
def secret_text(manifest: Manifest) -> Iterator[Found]:
    """No text has the form of a key, a token or an address with a password."""
    for path, value in _texts(manifest):
        if SECRETS.search(value):
            yield path, "it looks like a key, a token or an address with a password"


@each_document("secret-random")
def secret_random(manifest: Manifest) -> Iterator[Found]:
    """No option of a command passes what looks like a random secret."""
    option = re.compile(r"--?[\w-]*(?:secret|token|passw|api-?key)[\w-]*[= ](\S{12,})", re.IGNORECASE)
    for path, value in _texts(manifest):
        for found in option.findall(value):
            if not found.startswith(("$", "{{")) and _entropy(found) > _LIKELY:
                yield path, "an option passes a secret"


def _entropy(word: str) -> float:
    """Shannon's, bits a character."""
    return -sum(count / len(word) * math.log2(count / len(word)) for count in Counter(word).values())


@each_document("machine-path")
def machine_path(manifest: Manifest) -> Iterator[Found]:
    """No path of the machine that the export was made on is in it."""
    for path, value in _texts(manifest):
        for found in local_paths(value):
            yield path, f"{found} is a path of one machine"


@each_document("machine-address")
def machine_address(manifest: Manifest) -> Iterator[Found]:
    """No variable and no command calls an address of its own machine."""
    for path, value in _texts(manifest):
        found = _LOOPBACK.search(value)
        # A probe's header, and the names that a server answers to, are about being called.
        if found and "://" in value and not {"httpHeaders", "annotations"} & set(path):
            yield path, f"{found[0]} is the pod itself"


@each_document("reference-unresolved")
def unresolved(manifest: Manifest) -> Iterator[Found]:
    """No reference between declarations is left as it was written."""
    for path, value in _texts(manifest):
        found = _UNRESOLVED.search(value)
        if found:
            yield path, f"nothing resolves {found[0]}"


def local_paths(content: str, more: Iterable[str] = ()) -> list[str]:
    """The paths of a machine in a text: below a home, file URLs, and below the folders `more`."""
    return [*_MACHINE.findall(content), *(place for place in more if place in content)]


def _texts(manifest: Manifest) -> Iterator[tuple[Pointer, str]]:
    return ((path, value) for path, value in leaves(manifest.document) if isinstance(value, str))


RULES = (secret_value, secret_text, secret_random, machine_path, machine_address, unresolved)
