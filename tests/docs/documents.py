"""The project's documents, and the pieces of them that tests look at."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
_OPERATORS = {"&&", "||", "|", ";", ">", ">>", "<", "&"}


@dataclass(frozen=True)
class Block:
    """A fenced block: the document, the line it starts at, its language and text."""

    document: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.document)}:{self.line}"


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def blocks(*kinds: str) -> list[Block]:
    """All fenced blocks of the given languages."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match["kind"] in kinds:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(document, line, match["kind"], match["text"]))
    return found


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def box_commands(text: str) -> Iterator[list[str]]:
    """The words after `box` of each `box` command in shell text, comments and other commands left out."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _OPERATORS:
                words.append(word)
                continue
            if words[:1] == ["box"]:
                yield words[1:]
            words = []


def parse(root: click.Group, words: list[str]) -> None:
    """Parse a command line without running it.

    Raises:
        click.UsageError: no such verb or option, or a missing argument.
    """
    command: click.Command = root
    rest, path = list(words), "box"
    while isinstance(command, click.Group):
        while rest[:1] == ["--project"]:
            rest = rest[2:]
        if not rest or rest[0] in ("-h", "--help", "--version"):
            return
        if command.invoke_without_command and rest[0].startswith("-"):
            break
        if rest[0] not in command.commands:
            raise click.UsageError(f"no verb {rest[0]!r} after `{path}`")
        path = f"{path} {rest[0]}"
        command = command.commands[rest.pop(0)]
    if "--help" not in rest:
        command.make_context(path, rest)


def leaves(command: click.Command, path: str) -> dict[str, click.Command]:
    """Every verb that does something, by its full name."""
    if not isinstance(command, click.Group):
        return {path: command}
    found: dict[str, click.Command] = {path: command} if command.invoke_without_command else {}
    for sub, inner in command.commands.items():
        found |= leaves(inner, f"{path} {sub}")
    return found


def table_rows(document: Path, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines."""
    section = re.split(rf"^## {heading}\n", document.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
