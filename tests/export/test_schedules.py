"""AWS's cron, which Metaflow documents, as the cron that Argo reads."""

from __future__ import annotations

from typing import Any

import pytest

from boxplat.adapters.schedules import to_unix
from boxplat.core.config import StartsConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.flows.schedules import cron_workflow


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30 3 * * ?", "30 3 * * *"),
        ("0 0 ? * SUN", "0 0 * * SUN"),
        ("0 0 ? JUL WED,2", "0 0 * JUL WED,1"),
        ("0 9 ? * 2-6", "0 9 * * 1-5"),
        ("0 9 ? * 7", "0 9 * * 6"),
        ("0 9 ? * 2-6/2", "0 9 * * 1-5/2"),
        ("0 9 * * 5", "0 9 * * 5"),
        ("*/10 * * * *", "*/10 * * * *"),
        ("0 0 1 * ?", "0 0 1 * *"),
    ],
)
def test_days_of_the_week_are_counted_as_argo_does(written: str, meant: str) -> None:
    assert to_unix(written, "AFlow") == meant


@pytest.mark.parametrize(
    "written",
    [
        "0 0 L * ?",
        "0 0 ? * 6L",
        "0 0 15W * ?",
        "0 0 ? * 2#1",
        "0 0 * *",
        "0 9 * * 7",
        "60 9 * * ?",
        "0 0 30 2 *",
        "0 9 ? * 0",
    ],
)
def test_what_argo_cannot_run_is_refused(written: str) -> None:
    with pytest.raises(BoxError, match="AFlow") as caught:
        to_unix(written, "AFlow")
    assert caught.value.code == ExitCode.USAGE


def test_what_is_missed_on_a_cluster_is_what_is_missed_in_a_box() -> None:
    annotations = {"metaflow/cron": '{"schedule": "0 9 ? * 2-6", "tz": "Europe/Berlin"}', "metaflow/flow_name": "AFlow"}
    template = {"metadata": {"name": "aflow", "namespace": "p", "labels": {}, "annotations": annotations}}

    def spec(settings: StartsConfig) -> dict[str, Any]:
        document = cron_workflow(template, {"AFlow": settings})
        assert document is not None
        found: dict[str, Any] = document["spec"]
        return found

    last, skip = spec(StartsConfig()), spec(StartsConfig(missed="skip", overlap=True))
    assert (last["schedules"], last["timezone"]) == (["0 9 * * 1-5"], "Europe/Berlin")
    # Argo 3.5 and newer make up for the last one only within the deadline, which is none where none is set.
    assert last["concurrencyPolicy"] == "Forbid" and last["startingDeadlineSeconds"] > 300 * 86400
    assert spec(StartsConfig(missed="all"))["startingDeadlineSeconds"] == last["startingDeadlineSeconds"]
    assert skip["concurrencyPolicy"] == "Allow" and 0 < skip["startingDeadlineSeconds"] <= 60
