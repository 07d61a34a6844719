"""The doctor as a whole: order, ids, limits, and that a broken check is a finding and not an exception."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from boxplat.core.paths import Paths
from boxplat.doctor import PROBES, checks
from boxplat.doctor.probe import GROUPS, Probe, Site, examine, ok

STATES = {"ok", "warn", "fail", "skip"}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the checks find, and not how busy the machine is: their limits are the matter of two tests below."""
    monkeypatch.setattr("boxplat.doctor.PROBES", tuple(replace(probe, seconds=90.0) for probe in PROBES))
    monkeypatch.setattr("boxplat.doctor.examine", partial(examine, seconds=90.0))


def test_ids_are_unique_and_of_one_form() -> None:
    ids = [probe.id for probe in PROBES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"BOX-({'|'.join(GROUPS)})-\d\d", id_) for id_ in ids)


def test_a_correct_project_has_no_failed_project_or_storage_check(project: Paths) -> None:
    project.create()
    found = {check.id: check for check in checks(project)}
    assert list(found) == [probe.id for probe in PROBES]
    assert [c for c in found.values() if c.group in ("project", "storage", "ports") and c.state == "fail"] == []
    states = {id_: check.state for id_, check in found.items() if "PRJ" in id_}
    # Where nothing has run yet there is nothing to compare requests with.
    assert states.pop("BOX-PRJ-05") == "skip" and set(states.values()) == {"ok"}


def test_whoever_needs_mending_is_told_how(project: Paths) -> None:
    found = checks(project)
    assert all(check.state in STATES and check.detail for check in found)
    assert all(bool(check.fix) == (check.state in ("warn", "fail")) for check in found)


@pytest.mark.parametrize("inside", [True, False])
def test_outside_a_project_its_checks_are_skipped(inside: bool, tmp_path: Path) -> None:
    found = checks(Paths(tmp_path) if inside else None)
    skipped = {check.id for check in found if check.detail == "not in a project"}
    assert skipped == {probe.id for probe in PROBES if probe.needs_project}
    assert not list(tmp_path.iterdir()), "the doctor must not make a box"


def test_a_project_with_wrong_settings_is_still_examined(project: Paths) -> None:
    project.config.write_text("[tracking]\nprot = 1\n")
    found = {check.id: check for check in checks(project)}
    assert found["BOX-PRJ-01"].state == "fail"
    assert "did you mean 'port'" in found["BOX-PRJ-01"].detail
    assert found["BOX-PRJ-02"].state == "ok"


def test_a_check_that_breaks_is_a_failed_check(site: Callable[..., Site]) -> None:
    def broken(_: Site) -> None:
        raise RuntimeError("surprise")

    found = examine([Probe("BOX-SYS-01", "one", broken), Probe("BOX-SYS-02", "two", lambda _: ok("fine"))], site())
    assert [check.state for check in found] == ["fail", "ok"]
    assert "RuntimeError: surprise" in found[0].detail


def test_a_check_that_hangs_ends_at_its_limit_and_holds_up_no_other(site: Callable[..., Site]) -> None:
    never = threading.Event()
    probes = [Probe(f"BOX-SYS-{n}", "hangs", lambda _: never.wait(120), seconds=0.5) for n in range(10, 60)]
    fine = Probe("BOX-SYS-60", "fine", lambda _: ok("fine"), seconds=60.0)
    began = time.monotonic()
    found = examine([*probes, fine], site(), seconds=60.0)
    took = time.monotonic() - began
    never.set()
    assert [check.state for check in found] == ["fail"] * 50 + ["ok"]
    assert took < 20, "limits must run side by side, not one after the other: that would take 25 s"


def test_the_limits_keep_the_whole_under_ten_seconds() -> None:
    assert all(probe.seconds <= 9 for probe in PROBES)


HEAVY = ("torch", "pandas", "numpy", "pyarrow", "sqlalchemy", "mlflow", "feast", "bentoml", "metaflow", "docker")


def test_nothing_that_is_examined_is_imported(project: Paths) -> None:
    code = (
        "import sys; from pathlib import Path; from boxplat.core.paths import Paths\n"
        "from boxplat.doctor import checks\n"
        f"checks(Paths(Path({str(project.root)!r}))); print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == "[]"


def test_the_command_tells_wrong_settings_and_ends_with_4(project: Paths) -> None:
    project.config.write_text("[tracking]\nprot = 1\n")
    command = [sys.executable, "-m", "boxplat", "--project", str(project.root), "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 4
    assert "BOX-PRJ-01" in done.stdout and "did you mean 'port'" in done.stdout
