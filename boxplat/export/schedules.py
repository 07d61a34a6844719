"""`@schedule` as an Argo CronWorkflow, in the form that Argo 3.6 and 4 share (`schedules`, a list)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.model import Document


def cron_workflow(template: Mapping[str, Any]) -> Document | None:
    """The CronWorkflow of a hardened template, or None where the flow has no schedule.

    Raises:
        BoxError: the schedule uses what only AWS's cron knows (exit code 2).
    """
    metadata = template["metadata"]
    noted = metadata.get("annotations", {}).get("metaflow/cron")
    if noted is None:
        return None
    cron = json.loads(noted)
    spec: Document = {
        "schedules": [to_unix(cron["schedule"], metadata["annotations"]["metaflow/flow_name"])],
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3540,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 5,
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


def to_unix(schedule: str, flow: str) -> str:
    """Five fields as Argo reads them, from five of AWS's or Unix's cron.

    Metaflow documents AWS's form, which always has a `?` and counts the days of the week from 1 (Sunday) instead of 0.
    """
    fields = schedule.split()
    if len(fields) != 5 or any(re.search(r"[LW#]", re.sub(r"[A-Z]{3}", "", field)) for field in (fields[2], fields[4])):
        raise BoxError(
            f"the schedule {schedule!r} of {flow} cannot be exported",
            why="Argo takes five fields, without AWS's L, W and #",
            fix="write @schedule(cron=...) with minute, hour, day, month and day of the week",
            code=ExitCode.USAGE,
        )
    if "?" in fields:
        # A step (`2-6/2`) is a count, not a day.
        fields[4] = re.sub(r"(?<![/\d])\d", lambda match: str(int(match[0]) - 1), fields[4])
    return " ".join("*" if field == "?" else field for field in fields)
