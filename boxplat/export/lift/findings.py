"""What is found before anything is changed: what stops a lift, what a person should decide, what is good to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from boxplat.core.errors import BoxError, ExitCode


class Level(StrEnum):
    BLOCKED = "blocked"
    DANGER = "danger"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule` is its stable name, `fix` the command that mends it (empty for what is no fault)."""

    level: Level
    rule: str
    what: str
    fix: str = ""


def blocked(rule: str, what: str, fix: str) -> Finding:
    """Nothing is applied while this holds."""
    return Finding(Level.BLOCKED, rule, what, fix)


def danger(rule: str, what: str, fix: str = "") -> Finding:
    """A person has to agree."""
    return Finding(Level.DANGER, rule, what, fix)


def note(rule: str, what: str, fix: str = "") -> Finding:
    """Good to know."""
    return Finding(Level.NOTE, rule, what, fix)


def stop_if_blocked(findings: Iterable[Finding], where: str) -> None:
    """Refuse to go on, with all reasons at once.

    Raises:
        BoxError: one of them blocks (exit code 4).
    """
    found = [finding for finding in findings if finding.level is Level.BLOCKED]
    if found:
        raise BoxError(
            f"{where} is not ready: {len(found)} to mend, and nothing was applied",
            why="\n".join(f"{finding.rule}: {finding.what}" for finding in found),
            fix="\n".join(dict.fromkeys(finding.fix for finding in found)),
            code=ExitCode.PRECONDITION,
        )
