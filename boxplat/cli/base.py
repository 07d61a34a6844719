"""What every command shares: options, the box it works on, and how errors end it."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from boxplat.core.errors import BoxError, ExitCode, nearest


class Commands(click.Group):
    """A group that knows the nearest command, and turns every error into four parts and an exit code."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = nearest(args[0] if args else "", self.commands)
            raise click.UsageError(f"{error.message}{hint}", ctx) from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            sys.exit(super().main(*args, **kwargs) or 0)
        except BoxError as error:
            sys.exit(_told(error))
        except click.exceptions.Exit as error:
            sys.exit(error.exit_code)
        except click.UsageError as error:
            sys.exit(_told(_misused(error)))
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            sys.exit(int(ExitCode.INTERRUPTED))
        except Exception as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            sys.exit(_told(_without_room(error) if full else _unexpected(error)))


def _told(error: BoxError) -> int:
    try:
        if "--json" in sys.argv:
            click.echo(json.dumps({"schema_version": 1, **error.as_dict()}))
        # There is none where a script has closed it.
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # What cannot be written may be just this; the words below still can. Python itself would try once more at
        # the end, and exit with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    click.echo(str(error), err=True)
    return int(error.code)


def _misused(error: click.UsageError) -> BoxError:
    path = error.ctx.command_path if error.ctx else "box"
    usage = error.ctx.get_usage() if error.ctx else "usage: box COMMAND"
    return BoxError(error.format_message(), why=usage, fix=f"{path} --help", code=ExitCode.USAGE)


def _without_room(error: Exception) -> BoxError:
    import tempfile

    return BoxError(
        "the disk is full",
        why=str(error),
        fix=f"see which one (df -h . {tempfile.gettempdir()}), then make room there or by: box gc --dry-run",
        code=ExitCode.PRECONDITION,
    )


def _unexpected(error: Exception) -> BoxError:
    """A defect of ours: the traceback goes to a file, the person gets four parts."""
    folder = Path(os.environ.get("BOX_PROJECT", ".")) / ".box" / "logs"
    log: Path | None = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    try:
        assert log is not None
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError:
        log = None
    last = text.strip().splitlines()[-6:]
    return BoxError(
        f"unexpected {type(error).__name__} in `box {' '.join(sys.argv[1:2])}`",
        why=str(error) if log else "\n".join(last),
        fix="box doctor   (if that finds nothing, this is a defect of boxplat: report it with the log)",
        log=log,
    )


def the_box(**flags: object) -> Any:
    """The project that the command works on."""
    from boxplat.box import Box
    from boxplat.core.environment import user

    root = click.get_current_context().find_root().params.get("project") or "."
    return Box(root, by=f"{user()}/cli", flags={key: value for key, value in flags.items() if value is not None})


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` of every command that reads."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")(function)


def say(text: str) -> None:
    """Talk goes to standard error; data to standard output."""
    click.echo(text, err=True)


def progress(text: str) -> None:
    """One line of progress of long work."""
    # `sys.stderr` is turned away while Feast is at work: its libraries print there.
    click.echo(f"· {text}", file=sys.__stderr__)


def next_step(text: str) -> None:
    """What to type next, after a success, when a person is there to read it."""
    if sys.stderr.isatty() or os.environ.get("BOX_HINTS"):
        say(f"next: {text}")
