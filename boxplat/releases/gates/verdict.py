"""What became of each gate, and of the version that was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from boxplat.core.errors import BoxError, ExitCode


class Outcome(StrEnum):
    """Of one gate. What could not be judged because too little is known is refused; `not judged` refuses nothing."""

    PASSED = "passed"
    REFUSED = "refused"
    SKIPPED = "not judged"


@dataclass(frozen=True)
class Gate:
    """One gate: its rule in words, what was found, and the numbers behind it.

    `champion` is what the present champion has there, in words; empty where the rule does not compare.
    """

    name: str
    outcome: Outcome
    rule: str
    found: str
    champion: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


def passed(name: str, rule: str, found: str, champion: str = "", **numbers: Any) -> Gate:
    """A gate that lets the version through."""
    return Gate(name, Outcome.PASSED, rule, found, champion, numbers)


def refused(name: str, rule: str, found: str, champion: str = "", **numbers: Any) -> Gate:
    """A gate that does not."""
    return Gate(name, Outcome.REFUSED, rule, found, champion, numbers)


def skipped(name: str, rule: str, found: str, **numbers: Any) -> Gate:
    """A gate that has nothing to judge; `found` says why."""
    return Gate(name, Outcome.SKIPPED, rule, found, numbers=numbers)


@dataclass(frozen=True)
class Judgement:
    """All gates of one version.

    `champion` is the version that it was compared with (None: there is none, so with the constant answer); `rows` were
    judged, in `groups` that are independent of each other; `left_out` rows lie before the end of the training data of
    one of the two; `digest` is that of the labels and groups.
    """

    model: str
    version: int
    alias: str
    champion: int | None
    gates: tuple[Gate, ...]
    data: str = ""
    rows: int = 0
    groups: int = 0
    left_out: int = 0
    digest: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """No gate refuses."""
        return not self.refusals

    @property
    def refusals(self) -> Sequence[Gate]:
        """The gates that refuse."""
        return [gate for gate in self.gates if gate.outcome is Outcome.REFUSED]

    def refusal(self) -> BoxError:
        """The error of a version that is refused (exit code 5)."""
        return BoxError(
            f"{self.model} version {self.version} is not promoted to {self.alias}: "
            + ", ".join(gate.name for gate in self.refusals),
            why="\n".join(f"{gate.name}: {gate.found} (rule: {gate.rule})" for gate in self.refusals),
            fix="correct the version and register it again; or, to answer for it: "
            f'box models promote {self.model} {self.version} --to {self.alias} --force --reason "…"',
            code=ExitCode.GATE_REFUSED,
        )

    def evidence(self) -> dict[str, Any]:
        """What was judged on, for the record."""
        return {
            "champion": self.champion,
            "data": self.data,
            "digest": self.digest,
            "rows": self.rows,
            "groups": self.groups,
            "left_out": self.left_out,
        }

    def told(self) -> list[dict[str, Any]]:
        """The gates as plain values, for the record."""
        return [
            {
                "gate": gate.name,
                "passed": None if gate.outcome is Outcome.SKIPPED else gate.outcome is Outcome.PASSED,
                "rule": gate.rule,
                "found": gate.found,
                "champion": gate.champion,
                **gate.numbers,
            }
            for gate in self.gates
        ]
