"""`@schedule` as an Argo CronWorkflow, in the form that Argo 3.6 and 4 share (`schedules`, a list)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from boxplat.adapters.schedules import to_unix
from boxplat.core.config import StartsConfig
from boxplat.export.model import Document

# Argo looks at its clock every ten seconds; what it finds later than this was missed.
_LATE = 60
# Without a deadline Argo makes up for nothing, other than a CronJob of Kubernetes.
_YEAR = 366 * 86400


def cron_workflow(template: Mapping[str, Any], settings: Mapping[str, StartsConfig] | None = None) -> Document | None:
    """The CronWorkflow of a hardened template, or None where the flow has no schedule.

    Args:
        settings: `[schedules.FLOW]` by the flow's name. A run that was missed is made up for as in a box: the last one,
            up to a year late, or none. Of `missed = "all"` Argo knows the last only.

    Raises:
        BoxError: the schedule uses what only AWS's cron knows (exit code 2).
    """
    metadata = template["metadata"]
    noted = metadata.get("annotations", {}).get("metaflow/cron")
    if noted is None:
        return None
    cron = json.loads(noted)
    flow = metadata["annotations"]["metaflow/flow_name"]
    starts = (settings or {}).get(flow, StartsConfig())
    spec: Document = {
        "schedules": [to_unix(cron["schedule"], flow)],
        "concurrencyPolicy": "Allow" if starts.overlap else "Forbid",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 5,
        "startingDeadlineSeconds": _LATE if starts.missed == "skip" else _YEAR,
        "workflowSpec": {"workflowTemplateRef": {"name": metadata["name"]}},
    }
    if cron["tz"]:
        spec["timezone"] = cron["tz"]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": metadata["labels"]},
        "spec": spec,
    }
