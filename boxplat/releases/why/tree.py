"""The answer to a why: things, what is known of each, and what each was made of or went into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.state.verification import Verdict


@dataclass(frozen=True, slots=True)
class Node:
    """One thing: `kind` (prediction, release, model version, run, code, …) and `name` say which.

    `role` is what it is to the node above it; `facts` have times as seconds since the epoch; `notes` say what could not
    be found out, or does not fit; `record` are the numbers of the entries of the record that this is taken from.
    """

    kind: str
    name: str
    role: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    record: tuple[int, ...] = ()
    below: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`made_of` leads down to code and data, `went_into` to releases and what they answered.

    `also` are other things that the question may have meant, as they are to be asked for. `record` is the verdict on
    the record that all this was read from.
    """

    subject: Node
    also: tuple[str, ...]
    record: Verdict
