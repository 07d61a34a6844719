"""The root command and the order of its verbs."""

from __future__ import annotations

import click

from boxplat import __version__
from boxplat.cli import (
    cluster,
    comparison,
    data,
    events,
    gc,
    keys,
    life,
    lift,
    models,
    queue,
    record,
    schedule,
    serving,
    sweeps,
    watch,
    work,
)
from boxplat.cli.base import Commands

_GROUPS = (
    ("life-cycle", (*life.COMMANDS, *gc.COMMANDS)),
    ("work", (*work.COMMANDS, *schedule.COMMANDS, *sweeps.COMMANDS, *queue.COMMANDS)),
    ("data", data.COMMANDS),
    ("models", models.COMMANDS),
    ("serving", (*serving.COMMANDS, *comparison.COMMANDS, *record.COMMANDS, *keys.COMMANDS)),
    ("watch", (*watch.COMMANDS, *events.COMMANDS)),
    ("cluster", (*cluster.COMMANDS, *lift.COMMANDS)),
)


class Root(Commands):
    """Help that lists the verbs by what they are for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [command.name or "" for _, group in _GROUPS for command in group]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in _GROUPS:
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.get_short_help_str(70)) for command in group])


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--project", envvar="BOX_PROJECT", metavar="DIR", help="The project folder (default: here or above).")
@click.version_option(__version__, prog_name="box")
def box(project: str | None) -> None:
    """A machine-learning platform in a folder: flows, features, tracking, serving and a dashboard.

    \b
    First steps:
      box init my-project && cd my-project
      box up --detach && box wait --all
      box run flows/ingest.py --wait
      box tui
    """


for _, _group in _GROUPS:
    for _command in _group:
        box.add_command(_command)
