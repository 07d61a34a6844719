"""What the dashboard can do, each as the `box` command that a person would type. Pure; `process.py` runs them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxplat_tui.lines import without_controls

_CHAMPION = "champion"


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
        return " ".join(map(_quoted, ("box", *self.words)))

    def argv(self, root: str) -> list[str]:
        """The same for the project at `root`, whatever is on PATH."""
        return [sys.executable, "-m", "boxplat", "--project", root, *self.words]


def _quoted(word: str) -> str:
    """For a shell; control characters are spelled out as bash and zsh read them: a terminal obeys pasted ones."""
    if without_controls(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_spelled, word)) + "'"


def _spelled(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if without_controls(char):
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 128 else f"\\u{ord(char):04x}"


def _named(*names: str) -> tuple[str, ...]:
    """Arguments, the last words of a command: after `--` where one of them would be read as an option."""
    return ("--", *names) if any(name.startswith("-") for name in names) else names


def up(service: str | None = None) -> Command:
    return Command(("up", *_named(service)) if service else ("up", "--detach"))


def down(service: str | None = None) -> Command:
    if service:
        effect = f"This stops {service}, and what needs it waits. It stays down until: box up {service}"
        return Command(("down", *_named(service)), effect=effect)
    return Command(("down",), effect="This stops every service and every running flow of this box. Nothing is deleted.")


def restart(service: str) -> Command:
    return Command(("restart", *_named(service)))


def run(flow: str, params: Mapping[str, str]) -> Command:
    words = [word for key, value in params.items() for word in ("--param", f"{key}={value}")]
    return Command(("run", flow, *words))


def cancel(run_id: int, name: str) -> Command:
    effect = f"This ends run {run_id} ({name}). Steps that are done keep their results; the rest is not computed."
    return Command(("cancel", str(run_id)), effect=effect)


def queue() -> Command:
    return Command(("queue",))


def hold(run_id: int) -> Command:
    return Command(("queue", "hold", str(run_id)))


def release(run_id: int) -> Command:
    return Command(("queue", "release", str(run_id)))


def move(run_id: int, where: str) -> Command:
    """Another place in line: `where` is first, last, up or down."""
    return Command(("queue", "move", str(run_id), f"--{where}"))


def pause(flow: str) -> Command:
    return Command(("schedule", "pause", flow))


def resume(flow: str) -> Command:
    return Command(("schedule", "resume", flow))


def run_now(flow: str) -> Command:
    return Command(("schedule", "run-now", flow))


def deploy(endpoint: str, version: str = "", percent: int = 100) -> Command:
    chosen = ("--version", version) if version else ()
    return Command(("deploy", endpoint, *chosen, *(("--percent", str(percent)) if percent != 100 else ())))


def undeploy(endpoint: str, effect: str = "") -> Command:
    general = f"This takes endpoint {endpoint} down: its URL stops answering. Its releases are kept."
    return Command(("undeploy", *_named(endpoint)), effect=effect or general)


def split(endpoint: str, weights: Mapping[int, int], shadow: int | None = None, effect: str = "") -> Command:
    parts = (f"{number}={percent}" for number, percent in sorted(weights.items()) if percent)
    copies = ("--shadow", str(shadow)) if shadow is not None else ()
    return Command(("split", endpoint, *parts, *copies), effect=effect)


def rollback(endpoint: str, effect: str) -> Command:
    return Command(("rollback", *_named(endpoint)), effect=effect)


def live(endpoint: str) -> Command:
    return Command(("endpoints", "live", *_named(endpoint)), keep=True)


def predict(endpoint: str, data: str) -> Command:
    return Command(("predict", *_named(endpoint, data)), keep=True)


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
        return json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode()
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON yet: {error.msg} in line {error.lineno}") from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def features_apply() -> Command:
    effect = (
        "This registers what the feature repository declares now. "
        "A view that it no longer declares is dropped, with its rows online; the files of the sources stay."
    )
    return Command(("features", "apply"), effect, keep=True)


def features_materialize(end: str = "") -> Command:
    return Command(("features", "materialize", *(("--end", end) if end else ())), keep=True)


def features_show(view: str) -> Command:
    return Command(("features", "show", *_named(view)), keep=True)


def features_audit() -> Command:
    return Command(("features", "audit"), keep=True)


def features_skew(endpoint: str) -> Command:
    return Command(("features", "skew", *_named(endpoint)), keep=True)


def features_get(name: str, keys: Mapping[str, object]) -> Command:
    """The online features of one entity: of a feature view, or of a feature service."""
    return Command(("features", "get", *_named(name, json.dumps([keys], ensure_ascii=False))), keep=True)


def models_show(model: str) -> Command:
    return Command(("models", "show", *_named(model)), keep=True)


def judge(model: str, version: int, alias: str) -> Command:
    return Command(("models", "promote", model, str(version), *_to(alias), "--dry-run"), keep=True)


def promote(model: str, version: int, alias: str, now: int | None, endpoints: Sequence[str]) -> Command:
    effect = (
        f"This judges version {version} of {model} on held-out rows, which may take minutes. If every gate lets it "
        f"through, {_moves(alias, now, version, endpoints)}. If one refuses it, only the record is written."
    )
    return Command(("models", "promote", model, str(version), *_to(alias)), effect, keep=True)


def force(model: str, version: int, alias: str, now: int | None, endpoints: Sequence[str], reason: str) -> Command:
    effect = (
        f"Whatever the gates of {model} say, {_moves(alias, now, version, endpoints)}. "
        "The record keeps who did it, the reason, and each gate that refused."
    )
    words = ("models", "promote", model, str(version), *_to(alias), "--force", "--reason", reason)
    return Command(words, effect, keep=True)


def models_rollback(model: str, alias: str, now: int | None, before: int | None, endpoints: Sequence[str]) -> Command:
    effect = f"In model {model}, {_moves(alias, now, before, endpoints)}. Nothing is judged again."
    chosen = () if alias == _CHAMPION else ("--alias", alias)
    return Command(("models", "rollback", model, *chosen), effect, keep=True)


def calibrate(model: str, version: int) -> Command:
    return Command(("models", "calibrate", model, "--version", str(version)), keep=True)


def _to(alias: str) -> tuple[str, ...]:
    return () if alias == _CHAMPION else ("--to", alias)


def _moves(alias: str, now: int | None, then: int | None, endpoints: Sequence[str]) -> str:
    """`champion goes from version 2 to version 3, and endpoint delay is deployed with it`."""
    start = f" from version {now}" if now is not None else ""
    follow = f", and endpoint {' and '.join(endpoints)} is deployed with it" if endpoints else ""
    return f"{alias} goes{start} to version {then}{follow}"


def doctor() -> Command:
    return Command(("doctor",), keep=True)


def logs(subject: str) -> Command:
    return Command(("logs", subject, "--follow"))


def runs() -> Command:
    return Command(("runs",))


def run_shown(run_id: int) -> Command:
    return Command(("runs", "show", str(run_id)), keep=True)


def run_metrics(run_id: int) -> Command:
    return Command(("runs", "metrics", str(run_id)), keep=True)


def compare_runs(run_ids: Sequence[int]) -> Command:
    return Command(("runs", "compare", *map(str, run_ids)), keep=True)


def resume_run(run_id: int, flow: str) -> Command:
    return Command(("run", flow, "--resume", str(run_id)))


def sweeps() -> Command:
    return Command(("sweeps",))


def sweep(number: int) -> Command:
    return Command(("sweep", "show", str(number)), keep=True)


def resume_sweep(number: int) -> Command:
    return Command(("sweep", "resume", str(number)))


def cancel_sweep(number: int, trials: int) -> Command:
    left = f"its {trials} trials that are not over" if trials != 1 else "its trial that is not over"
    effect = f"This ends sweep {number} and {left}. Trials that are done keep their results."
    return Command(("sweep", "cancel", str(number)), effect=effect)


def events(subject: str = "", kind: str = "", match: str = "") -> Command:
    asked = (("--subject", subject), ("--kind", kind), ("--match", match))
    return Command(("events", *(word for option, value in asked if value for word in (option, value))))


def why(subject: str) -> Command:
    return Command(("why", *_named(subject)), keep=True)


def endpoints() -> Command:
    return Command(("endpoints",))


def endpoint_history(endpoint: str) -> Command:
    return Command(("endpoints", "history", *_named(endpoint)), keep=True)


def schedules() -> Command:
    return Command(("schedule", "list"), keep=True)


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
