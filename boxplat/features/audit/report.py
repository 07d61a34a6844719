"""The verdict on a training set, as an object and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.audit.comparison import Example
from boxplat.features.audit.splits import Optimism

FUTURE = "knows the future"
OTHER = "is not what the code builds, even from all data"
ABSENT = "is not built by the code"
ELSEWHERE = "does not come from the declared sources"
UNDECLARED = "is declared by nobody"
_NEXT = {
    FUTURE: "drop it, or build it from what was known: an as-of join on the time at which the source became known",
    OTHER: "build the table again; if it still differs, the code is not deterministic (order, random, now)",
    ABSENT: "let the code return it, or name it in [audit] ids or given if it is no feature",
    ELSEWHERE: "declare the file that it is read from as [sources.NAME], or name it in [audit] given",
    UNDECLARED: "add it to a feature view (box features apply), or to [audit] features, given or derived",
}


@dataclass(frozen=True)
class Finding:
    """One column that is refused: `kind` of fault, `rows` of the `checked` ones that change, mean absolute difference
    over numbers, AUC of the column alone against the label, and examples."""

    column: str
    kind: str
    rows: int = 0
    checked: int = 0
    mean_difference: float | None = None
    auc: float | None = None
    examples: Sequence[Example] = ()

    @property
    def share(self) -> float:
        return self.rows / self.checked if self.checked else 0.0


@dataclass(frozen=True)
class Control:
    """Something planted that the audit must notice, or it proves nothing."""

    name: str
    fired: bool
    detail: str


@dataclass(frozen=True)
class Hidden:
    """What was hidden of one source, over all decision times."""

    source: str
    rows: int
    values: int


@dataclass
class Report:
    """What was looked at, and what was found. `file` is where this report lies as text."""

    table: str
    build: str
    seed: int
    rows: int = 0
    moments: int = 0
    first: str = ""
    last: str = ""
    columns: Sequence[str] = ()
    trusted: Sequence[str] = ()
    declared: str = ""
    hidden: Sequence[Hidden] = ()
    controls: Sequence[Control] = ()
    findings: Sequence[Finding] = ()
    missing: Sequence[Example] = ()
    split: Optimism | None = None
    strongest: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    file: str = ""

    @property
    def passed(self) -> bool:
        """No column is refused, every wanted row came back, and every control fired."""
        return not self.findings and not self.missing and all(control.fired for control in self.controls)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `render.as_json` adds the `schema_version`."""
        from dataclasses import asdict

        values = asdict(self)
        for finding, plain in zip(self.findings, values["findings"], strict=True):
            plain["share"] = finding.share
        if self.split:
            values["split"]["difference"] = self.split.difference
        return {"passed": self.passed, **values}

    def refusal(self) -> BoxError:
        """The error of a gate that refuses (exit code 5)."""
        leaks = [finding.column for finding in self.findings if finding.kind == FUTURE]
        others = [finding.column for finding in self.findings if finding.kind != FUTURE]
        parts = [
            f"{len(leaks)} columns know the future: {_some(leaks)}" if leaks else "",
            f"{len(others)} columns cannot be accounted for: {_some(others)}" if others else "",
            f"{len(self.missing)} rows vanish when the future is hidden" if self.missing else "",
            *(f"control did not fire: {control.name}" for control in self.controls if not control.fired),
        ]
        kinds = dict.fromkeys(finding.kind for finding in self.findings)
        return BoxError(
            f"{self.table} is refused",
            why="; ".join(filter(None, parts)),
            fix=next((_NEXT[kind] for kind in kinds), "let the code build every row it is asked for from [sources]"),
            log=self.file,
            code=ExitCode.GATE_REFUSED,
        )

    def __str__(self) -> str:
        parts = [self._head(), self._findings(), self._rows(), self._controls(), self._split(), self._verdict()]
        return "\n\n".join(part for part in parts if part)

    def _head(self) -> str:
        parts = [f"{one.source} {_lost(one.rows, one.values)}" for one in self.hidden]
        if len(parts) > 4:
            rows, values = sum(one.rows for one in self.hidden), sum(one.values for one in self.hidden)
            parts = [f"{_lost(rows, values)} of {len(parts)} sources"]
        lines = {
            "training set": self.table,
            "built by": self.build,
            "sample": f"{self.rows} rows at {self.moments} decision times from {self.first} to {self.last}",
            "": f"the set in time order is cut into equal parts; a random row of each names a time (seed {self.seed})",
            "hidden": f"{', '.join(parts)}: known after the decision time, all times together",
            "compared": f"{len(self.columns)} columns; declared by {self.declared or 'nobody, so not checked'}",
            "trusted": f"{', '.join(self.trusted) or 'none'} (come with the request)",
        }
        return "\n".join(_line(name, text) for name, text in lines.items())

    def _findings(self) -> str:
        if not self.findings:
            return ""
        rows = [("COLUMN", "FAULT", "ROWS", "MEAN DIFF", "AUC ALONE")]
        for one in self.findings:
            share = f"{one.rows}/{one.checked} ({one.share:.0%})" if one.checked else "-"
            rows.append((one.column, one.kind, share, _figure(one.mean_difference), _figure(one.auc)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        shown = [_example(one.column, one.examples[0]) for one in self.findings if one.examples]
        nexts = [f"{kind}: {_NEXT[kind]}" for kind in dict.fromkeys(one.kind for one in self.findings)]
        return "\n".join([*lines, *(["", "for example", *shown] if shown else []), "", "what to do", *_indent(nexts)])

    def _rows(self) -> str:
        if not self.missing:
            return ""
        names = [f"{dict(one.row)}, decided {one.decided}" for one in self.missing[:3]]
        return "\n".join(
            [
                f"{len(self.missing)} rows that the set holds were not built when the future was hidden:",
                *_indent(names),
                "  the code keeps only rows whose outcome is known: build every wanted row, and filter by label after",
            ]
        )

    def _controls(self) -> str:
        lines = [f"{'fired' if one.fired else 'DID NOT FIRE'}: {one.name} ({one.detail})" for one in self.controls]
        return "\n".join(["controls", *_indent(lines)])

    def _split(self) -> str:
        if self.split is None:
            return "split: not measured (no label named, or too few rows)"
        one = self.split
        best = ", ".join(f"{column} {value:.3f}" for column, value in self.strongest.items())
        lines = [
            _line("random split", f"{one.metric} {one.random:.3f} on a random quarter of {one.rows} rows"),
            _line("by time", f"{one.metric} {one.chronological:.3f} on the last quarter; that is what to expect"),
            _line("optimism", f"{one.difference:+.3f} (gradient boosting, the same rows)"),
        ]
        return "\n".join([*lines, *([_line("strongest", f"{best} (AUC of one column alone)")] if best else [])])

    def _verdict(self) -> str:
        if self.passed:
            bound = min(1.0, 3 / max(1, self.moments))
            return (
                f"PASSED: no value changed in {self.rows} rows. A fault at more than {bound:.0%} of the decision times "
                f"would have been seen with 95 % confidence. ({self.seconds:.0f} s)"
            )
        return f"REFUSED: {self.refusal().why}. ({self.seconds:.0f} s)"


def _lost(rows: int, values: int) -> str:
    return f"{rows:,} rows" + (f" and {values:,} values" if values else "")


def _line(name: str, text: str) -> str:
    return f"{name:<14}{text}"


def _example(column: str, one: Example) -> str:
    row = ", ".join(f"{name.removeprefix('__box_')} {value}" for name, value in one.row.items())
    says, known = ("nothing" if value is None else repr(value) for value in (one.value, one.honest))
    return f"  {column}: {row}, decided {one.decided}: the set says {says}, known then was {known}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
