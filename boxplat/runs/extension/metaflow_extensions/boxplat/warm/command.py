"""Which command a flow's command line names."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any


def command_of(flow: type, arguments: Sequence[str] | None = None) -> str | None:
    """The command (`run`, `step`, `card`…) among a flow's arguments, found as Metaflow's own parser finds it.

    None where there is none, or where Metaflow will refuse the options before it.
    """
    click: Any = importlib.import_module("metaflow._vendor.click")
    parameters: Any = importlib.import_module("metaflow.parameters")
    # The options of the command line are made from the flow's class when this module is first imported.
    with parameters.flow_context(flow):
        start: Any = importlib.import_module("metaflow.cli").start
    try:
        words = start.make_parser(click.Context(start)).parse_args(
            list(sys.argv[1:] if arguments is None else arguments)
        )[1]
    except click.UsageError:
        return None
    return str(words[0]) if words else None
