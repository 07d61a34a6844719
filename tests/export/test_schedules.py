"""AWS's cron, which Metaflow documents, as the cron that Argo reads."""

from __future__ import annotations

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.schedules import to_unix


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30 3 * * ?", "30 3 * * *"),
        ("0 0 ? * SUN", "0 0 * * SUN"),
        ("0 0 ? * JUL,2", "0 0 * * JUL,1"),
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


@pytest.mark.parametrize("written", ["0 0 L * ?", "0 0 ? * 6L", "0 0 15W * ?", "0 0 ? * 2#1", "0 0 * *"])
def test_what_argo_cannot_run_is_refused(written: str) -> None:
    with pytest.raises(BoxError, match="AFlow") as caught:
        to_unix(written, "AFlow")
    assert caught.value.code == ExitCode.USAGE
