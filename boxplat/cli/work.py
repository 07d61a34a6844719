"""run, runs, cancel, gpu."""

from __future__ import annotations

from typing import Any

import click

from boxplat import metrics_table, profiled, render, storage
from boxplat.box import Box
from boxplat.cli import complete
from boxplat.cli.base import json_option, next_step, say, the_box
from boxplat.cli.sweeps import begin, sweep_options
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, RunState


def _pairs(values: tuple[str, ...], option: str = "--param", example: str = "seed=1") -> dict[str, str]:
    found = {}
    for value in values:
        key, sign, rest = value.partition("=")
        if not sign or not key:
            raise BoxError(
                f"{option} {value!r} is not of the form name=value",
                why="a flow's parameter needs a name and a value",
                fix=f"box run FLOW {option} {example}",
                code=ExitCode.USAGE,
            )
        found[key] = rest
    return found


@click.command()
@click.argument("flow", shell_complete=complete.flows)
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="A parameter of the flow (repeatable).")
@click.option("--wait", is_flag=True, help="Show its log and end with its result.")
@click.option("--resume", type=int, metavar="RUN", help="Take over the finished steps of an earlier run.")
@click.option("--max-workers", type=click.IntRange(min=1), help="Tasks at once (default: as many as there are cores).")
@click.option("--tag", multiple=True, help="A Metaflow tag (repeatable).")
@click.option(
    "--priority", type=click.Choice(["interactive", "batch"]), help="Batch runs wait behind interactive ones (default)."
)
@click.option("--cold", is_flag=True, help="Start every task in a new process (default: fork it where that is safe).")
@click.option("--once", is_flag=True, help="Nothing to do if the same code and parameters have succeeded before.")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
@sweep_options
@json_option
def run(
    flow: str,
    param: tuple[str, ...],
    wait: bool,
    resume: int | None,
    max_workers: int | None,
    tag: tuple[str, ...],
    priority: str | None,
    cold: bool,
    once: bool,
    extra: tuple[str, ...],
    as_json: bool,
    **sweep: Any,
) -> None:
    """Run a flow, or with several values of a parameter a sweep of it; after `--`, further options for Metaflow."""
    box = the_box()
    params = box.sweep.values(flow, _pairs(param))
    if sweep["search"] or sweep["metric"] or any(len(values) > 1 for values in params.values()):
        sweep["search"] = _pairs(sweep["search"], "--search", "lr=log:1e-5..1e-1")
        options = {"resume": resume, "max_workers": max_workers, "tags": list(tag), "extra": list(extra), "once": once}
        begin(box, flow, params, {**options, "priority": priority, "cold": cold or None}, sweep, wait, as_json)
        return
    single = {name: values[0] for name, values in params.items()}
    made = box.run(flow, single, resume, max_workers, tag, extra, once, priority, cold)
    if made.state.over:
        say(f"run {made.id} of {made.flow} did this already, {render.ago(made.ended)}: nothing to do")
    else:
        say(f"run {made.id} of {made.flow} is queued")
    if wait and not made.state.over:
        made = _watch(box, made.id)
    if as_json:
        click.echo(render.as_json(run=made))
    elif not wait:
        click.echo(made.id)
        next_step(f"box logs {made.id} --follow   (or: box tui)")


def _watch(box: Any, number: int) -> Any:
    """Show a run's log until it is over; its failure becomes this command's."""
    try:
        for line in box.logs(str(number), follow=True, lines=0):
            say(line)
        done = box.wait_run(number)
    except KeyboardInterrupt:
        say(f"run {number} goes on   (end it: box cancel {number})")
        raise
    must_have_succeeded(done)
    return done


def must_have_succeeded(done: Run) -> None:
    """Say how long a run took, or raise what went wrong in it."""
    if done.state is not RunState.SUCCEEDED:
        raise BoxError(
            f"run {done.id} of {done.flow} {done.state}",
            why=done.error or "no error was recorded",
            fix=f"box logs {done.id}   (then: box run {done.flow} --resume {done.id})",
            log=done.log,
        )
    say(f"run {done.id} succeeded in {render.duration((done.ended or 0) - (done.started or 0))}")


@click.command()
@click.argument("words", nargs=-1, metavar="[show|metrics|compare] [NUMBER...]", shell_complete=complete.runs)
@click.option("--limit", default=20, show_default=True)
@json_option
def runs(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """The newest runs; one with its tasks and what they used; its metrics; or several beside each other."""
    verb, numbers = _asked(words)
    box = the_box()
    if verb == "show":
        _show(box, numbers[0], as_json)
    elif verb == "metrics":
        series = box.history.metrics(numbers[0])
        click.echo(render.as_json(metrics=series) if as_json else metrics_table.metrics(series, numbers[0]))
    elif verb == "compare":
        found = box.history.compare(numbers)
        click.echo(render.as_json(compared=found) if as_json else metrics_table.side_by_side(found))
    else:
        rows = box.runs(limit)
        nothing = "nothing has run yet: box run flows/ingest.py --wait"
        click.echo(render.as_json(runs=rows) if as_json else render.runs(rows) if rows else nothing)


def _show(box: Box, number: int, as_json: bool) -> None:
    found, used = box.history.show(number), box.usage(number)
    gone = box.state.disposal.freed(f"run/{number}")
    if as_json:
        parts = {"run": found.run, "tasks": found.tasks, "data": found.data, "freed": found.freed, "usage": used}
        click.echo(render.as_json(**parts, currency=box.settings.rates.currency))
        return
    click.echo(render.run(found.run, found.tasks))
    if gone:
        click.echo(f"\nits artifacts, log and tracking run were freed {render.ago(gone.marked)} (box gc, {gone.by})")
    if found.data:
        click.echo(f"\n{storage.datasets(found.data)}")
    if used:
        click.echo(f"\n{profiled.use(used, box.settings.rates.currency)}")


def _asked(words: tuple[str, ...]) -> tuple[str, list[int]]:
    """What is to be shown of which runs; without a word that says what, one run is shown and several are compared."""
    if not words:
        return "", []
    said = words[0] if words[0] in ("show", "metrics", "compare") else ""
    rest = words[1:] if said else words
    verb = said or ("show" if len(rest) == 1 else "compare")
    if any(not word.isdecimal() for word in rest) or (verb != "compare" and len(rest) != 1):
        raise BoxError(
            f"{' '.join(words)!r} is no run",
            why="a run is shown by its number",
            fix="box runs   (then: box runs show NUMBER)",
            code=ExitCode.USAGE,
        )
    return verb, [int(word) for word in rest]


@click.command()
@click.argument("number", type=int, shell_complete=complete.runs)
def cancel(number: int) -> None:
    """End a run."""
    done = the_box().cancel(number)
    say(f"run {done.id} {done.state if done.state.over else 'is being cancelled'}")


@click.command()
@json_option
def gpu(as_json: bool) -> None:
    """NVIDIA devices: use, memory by process, power."""
    from boxplat.adapters.gpu import read

    devices, note = read()
    click.echo(render.as_json(gpus=devices, note=note) if as_json else render.gpus(devices, note))


COMMANDS: tuple[click.Command, ...] = (run, runs, cancel, gpu)
