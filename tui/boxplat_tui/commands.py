"""What the dashboard can do, each as the `box` command that a person would type. Pure; `process.py` runs them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """A `box` command.

    Args:
        words: what follows `box`.
        effect: what it will do, said before a dangerous one runs; empty for a harmless one.
        keep: its output is the point, so it stays on screen after success.
    """

    words: tuple[str, ...]
    effect: str = ""
    keep: bool = False

    @property
    def text(self) -> str:
        """As typed in a shell inside the project: `box run flows/train.py --param epochs=3`."""
        return shlex.join(("box", *self.words))

    def argv(self, root: str) -> list[str]:
        """The same for the project at `root`, whatever is on PATH."""
        return [sys.executable, "-m", "boxplat", "--project", root, *self.words]


def up(service: str | None = None) -> Command:
    return Command(("up", service) if service else ("up", "--detach"))


def down(service: str | None = None) -> Command:
    if service:
        effect = f"This stops {service}, and what needs it waits. It stays down until: box up {service}"
        return Command(("down", service), effect=effect)
    return Command(("down",), effect="This stops every service and every running flow of this box. Nothing is deleted.")


def restart(service: str) -> Command:
    return Command(("restart", service))


def run(flow: str, params: Mapping[str, str]) -> Command:
    words = [word for key, value in params.items() for word in ("--param", f"{key}={value}")]
    return Command(("run", flow, *words))


def cancel(run_id: int, name: str) -> Command:
    effect = f"This ends run {run_id} ({name}). Steps that are done keep their results; the rest is not computed."
    return Command(("cancel", str(run_id)), effect=effect)


def deploy(endpoint: str) -> Command:
    return Command(("deploy", endpoint))


def undeploy(endpoint: str) -> Command:
    effect = f"This takes endpoint {endpoint} down: its URL stops answering. Its releases are kept."
    return Command(("undeploy", endpoint), effect=effect)


def predict(endpoint: str, data: str) -> Command:
    return Command(("predict", endpoint, data), keep=True)


def prediction_data(text: str, root: Path) -> str:
    """What was typed as input of a prediction, on one line: JSON, or `@file` relative to the project.

    Raises:
        ValueError: neither; the message says why.
    """
    text = text.strip()
    if text.startswith("@"):
        if not (root / text[1:]).is_file():
            raise ValueError(f"no file {text[1:]}")
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON yet: {error.msg} in line {error.lineno}") from error


def features_apply() -> Command:
    return Command(("features", "apply"), keep=True)


def features_materialize() -> Command:
    return Command(("features", "materialize"), keep=True)


def doctor() -> Command:
    return Command(("doctor",), keep=True)


def logs(subject: str) -> Command:
    return Command(("logs", subject, "--follow"))


def runs() -> Command:
    return Command(("runs",))


def events(subject: str = "", kind: str = "", match: str = "") -> Command:
    asked = (("--subject", subject), ("--kind", kind), ("--match", match))
    return Command(("events", *(word for option, value in asked if value for word in (option, value))))


def why(subject: str) -> Command:
    return Command(("why", subject), keep=True)


def endpoints() -> Command:
    return Command(("endpoints",))


def gpu() -> Command:
    return Command(("gpu",))


def status() -> Command:
    return Command(("status",))


def parameters(text: str) -> dict[str, str]:
    """`name=value name="two words"` into a mapping.

    Raises:
        ValueError: a word without `=`, or an open quote; the message says which.
    """
    found = {}
    for word in shlex.split(text):
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise ValueError(f"{word!r} is not of the form name=value")
        found[key] = value
    return found


def parameter_text(params: Mapping[str, str]) -> str:
    """The inverse of `parameters`."""
    return shlex.join(f"{key}={value}" for key, value in params.items())
