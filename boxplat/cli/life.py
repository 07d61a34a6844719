"""init, up, down, restart, status, wait, logs, doctor, config, completion."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from boxplat import render
from boxplat.cli import complete
from boxplat.cli.base import json_option, next_step, progress, say, the_box
from boxplat.cli.work import must_have_succeeded
from boxplat.core.errors import BoxError, ExitCode


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
@click.option("--empty", is_flag=True, help="No sample, only the folders.")
def init(directory: str, empty: bool) -> None:
    """Make a new project from the flights sample."""
    from boxplat.box import Box

    files = Box.init(directory, empty)
    say(f"wrote {len(files)} files to {directory}")
    next_step(f"cd {directory} && box up --detach && box wait --all")


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete.services)
@click.option("--detach", "-d", is_flag=True, help="Return at once; the box runs on in the background.")
def up(names: tuple[str, ...], detach: bool) -> None:
    """Start the box, or the named services of it."""
    box = the_box()
    if not detach and not names:
        say(f"box {box.settings.project.name} is up; Ctrl-C stops it (logs: {box.paths.logs})")
    for problem in box.schedule.problems():
        say(f"{problem.what}: {problem.why}   (box schedule list)")
    there = box.up(names, detach or bool(names))
    if detach or names:
        say(f"up: supervisor pid {there.pid}")
        next_step("box wait --all   (then: box tui)")


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete.services)
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the end.")
def down(names: tuple[str, ...], timeout: float) -> None:
    """Stop the box, or the named services of it."""
    ended = the_box().down(names, timeout)
    if ended:
        say(f"ended {len(ended)} processes that a killed supervisor had left: {', '.join(map(str, ended))}")
    say(f"down: {', '.join(names)}" if names else "down: no process of this box is left")


@click.command()
@click.argument("name", shell_complete=complete.services)
def restart(name: str) -> None:
    """Replace a service's process; requests wait meanwhile."""
    the_box().restart(name)
    say(f"restarting {name}")
    next_step(f"box wait {name}")


@click.command()
@json_option
@click.option("--watch", is_flag=True, help="A line whenever something changes, until Ctrl-C.")
def status(as_json: bool, watch: bool) -> None:
    """What runs, and how it is. Exit code 3: not running; 7: up but degraded."""
    box = the_box()
    if watch:
        _watch(box)
    shown = box.status()
    click.echo(render.as_json(**render.plain(shown)) if as_json else render.snapshot(shown))
    if shown.supervisor is None:
        raise SystemExit(int(ExitCode.NO_BOX))
    if any(row.desired and not row.state.ready for row in shown.services):
        raise SystemExit(int(ExitCode.DEGRADED))


def _watch(box: object) -> None:
    import time

    seen: dict[str, str] = {}
    while True:
        shown = box.status()  # type: ignore[attr-defined]
        now = {row.name: f"{row.state} {row.reason}".strip() for row in shown.services}
        now |= {f"run/{run.id}": f"{run.flow} {run.state}" for run in shown.runs}
        for name in sorted(now):
            if seen.get(name) != now[name]:
                click.echo(f"{render.clock(shown.at)}  {name}  {now[name]}")
        seen = now
        time.sleep(0.5)


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete.services)
@click.option("--all", "everything", is_flag=True, help="All services that are wanted (as with no name).")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds.")
def wait(names: tuple[str, ...], everything: bool, timeout: float) -> None:
    """Until services are healthy, or a run (by its number) is over."""
    box = the_box()
    runs = [int(name.removeprefix("run/")) for name in names if name.removeprefix("run/").isdigit()]
    for number in runs:
        must_have_succeeded(box.wait_run(number, timeout))
    if runs and len(runs) == len(names) and not everything:
        return
    services = [name for name in names if not name.removeprefix("run/").isdigit()]
    box.wait([] if everything else services, timeout, lambda row: progress(f"{row.name} {row.state} {row.reason}"))


@click.command()
@click.argument("name", shell_complete=complete.logs)
@click.option("--follow", "-f", is_flag=True, help="Go on as lines come.")
@click.option("--step", help="Only this step of a run.")
@click.option("--lines", "-n", default=100, show_default=True, help="How many of the last lines.")
def logs(name: str, follow: bool, step: str | None, lines: int) -> None:
    """The log of a service, a run (by its number) or the supervisor."""
    for line in the_box().logs(name, follow, step, lines):
        click.echo(line)


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """What is wrong here, and the command that mends it. Exit code 4 if something is."""
    from boxplat.core.paths import Paths, find_root
    from boxplat.doctor import checks

    # Not through `Box`, which refuses settings that do not parse: here they are a finding.
    paths = None
    try:
        paths = Paths(find_root(Path(click.get_current_context().find_root().params.get("project") or ".")))
    except BoxError:
        say("no project here: only the machine is checked")
    found = checks(paths)
    click.echo(render.as_json(checks=found) if as_json else render.checks(found))
    if any(row.state == "fail" for row in found):
        raise SystemExit(int(ExitCode.PRECONDITION))


@click.command()
@json_option
@click.option("--origin", is_flag=True, help="Where each value comes from.")
def config(as_json: bool, origin: bool) -> None:
    """Every setting in force."""
    rows = the_box().config()
    if as_json:
        click.echo(render.as_json(settings={key: {"value": v, "from": source} for key, (v, source) in rows.items()}))
    else:
        click.echo(render.settings(rows, origin))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Shell completion: eval "$(box completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if kind is None:
        sys.exit(int(ExitCode.USAGE))
    click.echo(kind(root, {}, "box", "_BOX_COMPLETE").source())


COMMANDS: tuple[click.Command, ...] = (init, up, down, restart, status, wait, logs, doctor, config, completion)
