"""`box queue` for people."""

from __future__ import annotations

from boxplat import queue_table
from boxplat.core.claims import Capacity, Claim, Device, Priority
from boxplat.runs.queue import Line, Place
from boxplat.runs.shares import Occupancy, Part, Share

GIB = 2**30


def test_each_row_says_what_is_claimed_and_for_how_long() -> None:
    machine = Capacity(8, 32 * GIB, (Device("GPU-1", "RTX", 24 * GIB, foreign=2 * GIB),), foreign=3 * GIB)
    claim = Claim(2, 4 * GIB, 1, 6 * GIB, Priority.BATCH, 60)
    places = (
        Place("service/delay@7", None, "running", Priority.SERVING, Claim(0, GIB), 0.0),
        Place("run/1/train/3", 1, "running", Priority.BATCH, claim, 900.0, estimate=1060.0),
        Place("run/2", 2, "queued", Priority.BATCH, Claim(1, 0, 1), 990.0, "needs 1 whole GPU(s)", 1060.0),
        Place("run/3", 3, "queued", Priority.BATCH, Claim(1, 0), 990.0, "needs more", 900.0),
    )
    head, _, columns, *rows = queue_table.text(Line(1000.0, machine, places)).splitlines()
    assert head == (
        "to claim: 8 cores, 32 GiB of memory (3.0 GiB taken by processes without a lease), "
        "RTX with 24 GiB (2.0 GiB taken by others)"
    )
    assert columns.split()[:4] == ["OWNER", "STATE", "PRIORITY", "CORES"]
    assert rows[0].split()[:5] == ["service/delay@7", "running", "serving", "-", "1.0"]
    assert "1 x 6.0 GiB" in rows[1]
    assert "ends in 1 m 00 s" not in rows[1]
    assert "ends in 60 s" in rows[1]
    assert "1 whole" in rows[2]
    assert "starts in 60 s" in rows[2]
    assert "starts in" not in rows[3], "a moment that has passed is no estimate"


def test_an_idle_machine() -> None:
    assert "nothing runs and nothing waits" in queue_table.text(Line(0.0, Capacity(2, GIB), ()))


def test_the_machine_is_divided_among_its_owners() -> None:
    parts = (Part("run/1", 6 * GIB, GIB), Part("others", GIB / 2))
    found = (Share("cores", "cores", 8, 6.5, (Part("run/1", 1.5),)), Share("gpu", "RTX", 8 * GIB, GIB / 2, parts))
    head, *rows = queue_table.machine(Occupancy(Line(0.0, Capacity(8, GIB), ()), found)).splitlines()
    assert head.split() == ["WHAT", "OWNER", "HAS", "PROMISED", "TOO"]
    assert [row.split() for row in rows] == [
        ["cores", "run/1", "1.5", "-"],
        ["cores", "free", "6.5", "-"],
        ["RTX", "run/1", "6.0", "GiB", "1.0", "GiB"],
        ["RTX", "others", "512", "MiB", "-"],
        ["RTX", "free", "512", "MiB", "-"],
    ]
