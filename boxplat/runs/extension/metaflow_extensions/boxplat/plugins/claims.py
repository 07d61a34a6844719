"""What a task claims of the machine, told to it by its environment: the task itself waits until it gets that.

It runs in the scheduler and uses the standard library only. `boxplat.runs.gate` reads what is written here.
"""

import json
import os
from collections.abc import Iterable
from typing import Any

CLAIM = "BOXPLAT_CLAIM"
# Set in a task that has its lease: what that starts, other flows too, runs within it.
LEASE = "BOXPLAT_LEASE"
_RESOURCES = ("cpu", "memory", "gpu")


def asked(decorators: Iterable[Any]) -> dict[str, Any]:
    """What a step says itself: `cpu`, `memory`, `gpu` of `@resources`, `vram` of `@vram`, just as they are given.

    Metaflow's defaults (4096 MB…) do not count: nobody asked for them.
    """
    found: dict[str, Any] = {}
    for decorator in decorators:
        given = decorator._user_defined_attributes
        if decorator.name == "resources":
            found |= {name: decorator.attributes[name] for name in _RESOURCES if name in given}
        elif decorator.name == "vram":
            found["vram"] = decorator.attributes["memory"]
    return {name: value for name, value in found.items() if value is not None}


def put(cli_args: Any, decorators: Iterable[Any], attempt: int, ubf_context: Any) -> None:
    """Put the claim of a task that is about to start into its environment."""
    if "BOXPLAT_RUN_ID" not in os.environ or LEASE in os.environ:
        return
    task = cli_args.task
    learnt = json.loads(os.environ.get("BOXPLAT_LEARNT") or "{}")
    claim = {
        "run": str(task.run_id),
        "step": task.step,
        "task": str(task.task_id),
        "attempt": attempt,
        "asked": asked(decorators),
        "learnt": learnt.get(task.step, {}),
    }
    if ubf_context == "ubf_control":
        # It starts the other nodes of a @parallel step itself, within its own lease.
        claim["nodes"] = task.ubf_iter.num_parallel
    cli_args.env[CLAIM] = json.dumps(claim)
