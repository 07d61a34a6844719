"""What the shell offers after a verb: names of this project, read from its settings and state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from boxplat.core.errors import BoxError


def _offer(names: Callable[[Any], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from boxplat.box import Box

        try:
            box = Box(ctx.find_root().params.get("project") or ".")
            return [name for name in names(box) if name.startswith(incomplete)]
        except BoxError:
            return []

    return complete


endpoints = _offer(lambda box: box.settings.endpoints)
services = _offer(lambda box: [row.name for row in box.state.services.all()])
runs = _offer(lambda box: [str(run.id) for run in box.runs(30)])
logs = _offer(
    lambda box: [*(row.name for row in box.state.services.all()), "supervisor", *(str(run.id) for run in box.runs(30))]
)
flows = _offer(lambda box: sorted(str(path.relative_to(box.root)) for path in (box.root / "flows").glob("*.py")))
