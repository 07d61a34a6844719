"""`current.trigger` and `Run.trigger` of a run that an event started, as Metaflow has them on Argo Workflows."""

import json
import os
from typing import Any

from metaflow.events import Trigger
from metaflow.metadata_provider.metadata import MetaDatum
from metaflow.metaflow_current import current


def tell(metadata: Any, run_id: str, step: str, task_id: str, attempt: int, first: bool) -> None:
    """Say in a task what started its run; in the first step that is kept with the run."""
    told = os.environ.get("BOXPLAT_TRIGGER")
    if not told:
        return
    events = json.loads(told)
    current._update_env({"trigger": Trigger(list(events))})  # type: ignore[no-untyped-call]
    if first:
        kept = MetaDatum(
            field="execution-triggers",
            value=json.dumps(events),
            type="execution-triggers",
            tags=[f"attempt_id:{attempt}"],
        )
        metadata.register_metadata(run_id, step, task_id, [kept])
