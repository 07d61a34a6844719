"""A row of the parity table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Carried:
    """One thing that a project declares, and where an export has it.

    `of` is whose it is (a flow, `Flow/step`, a service, a section of the settings), `what` its name and `value` what is
    declared. `path` is a file of the export and a JSON pointer into it (`base/…yaml#/spec/…`), `found` what is there.
    Where nothing carries it, `why_not` says why; a row with neither is a gap.
    """

    of: str
    what: str
    value: str
    path: str = ""
    found: str = ""
    why_not: str = ""

    @property
    def gap(self) -> bool:
        """Whether it is lost without a word."""
        return not self.path and not self.why_not
