"""The verb as a person calls it, and values of every kind."""

from __future__ import annotations

import json
import math
import random
import struct

import pytest

from boxplat.core.errors import BoxError, ExitCode
from tests.conftest import run_box
from tests.features.skew.conftest import NAMES, ROWS, Row, Served, at, causes

TEXTS = ("", " ", "NaN", "null", "3", "ä€😀", 'q"uo\\te', "line\nbreak", "tab\t", "/a~b", "é" * 300, "\x01")
NUMBERS = (0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 0.1, 1 / 3, math.inf, -math.inf, math.nan, None)
WHOLES = (0, -1, 2**53 + 1, 2**63 - 1, -(2**63), None)


def test_values_of_every_kind_come_back_as_they_are(served: Served) -> None:
    draw = random.Random(0)
    rows = []
    for airport in range(400):
        single = struct.unpack("f", struct.pack("f", draw.uniform(-1e6, 1e6)))[0]
        rows.append(
            Row(
                event=0,
                airport=airport,
                wind=draw.choice((*NUMBERS, draw.random(), draw.uniform(-1e300, 1e300))),
                seen=draw.choice((*WHOLES, draw.randrange(-(2**63), 2**63))),
                sky=draw.choice((*TEXTS, None)),
                gust=draw.choice((None, single)),
            )
        )
    served.history(rows)
    served.answers(rows, at(0.5))
    report = served.skew()
    assert report.count == 0, str(report)
    assert report.predictions == len(rows)


def test_exit_codes_and_json(served: Served) -> None:
    for row in ROWS:
        served.row(row)
    root = served.paths.root
    (root / "boxplat.toml").write_text("[endpoints.e]\n[skew.limits]\ne = 0.5\n")
    good = run_box(root, "features", "skew", "e", "--json")
    assert good.returncode == 0, good.stderr
    told = json.loads(good.stdout)
    assert (told["predictions"], told["count"], told["passed"]) == (len(ROWS), 0, True)
    assert set(told["services"]) == {"weather_v1"} and told["limit"] == 0.5
    for row in ROWS:
        served.row(row, **dict.fromkeys(NAMES))
        served.row(row, **dict.fromkeys(NAMES))
    bad = run_box(root, "features", "skew", "e")
    assert bad.returncode == ExitCode.CHECK_FAILED
    assert "reports__wind: 16 of 24" in bad.stdout and "fix: box features skew e --json" in bad.stderr
    assert run_box(root, "features", "skew", "f").returncode == ExitCode.NOT_FOUND
    assert run_box(root, "features", "skew", "e", "--since", "soon").returncode == ExitCode.USAGE


@pytest.mark.parametrize("tolerance", [0.0, 0.01])
def test_numbers_that_are_farther_apart_than_their_type_is_wide_differ(served: Served, tolerance: float) -> None:
    """Ids that are hashes, and infinities: the difference of two is no number, and they are not near each other."""
    served.history([Row(0, wind=1.0, seen=9 * 10**18)])
    served.row(Row(0, wind=1.0, seen=9 * 10**18), seen=-9 * 10**18)
    served.row(Row(0, wind=1.0, seen=9 * 10**18), seen=-(2**63), wind=math.inf)
    found = causes(served.skew(tolerance=tolerance))
    assert found == {"seen": {"code:rewritten": 2}, "wind": {"code:rewritten": 1}}


def test_an_age_beyond_all_times_stops_nothing(served: Served) -> None:
    served.row(ROWS[0])
    values = {name: value for name, value in ROWS[0].values().items() if name in NAMES}
    served.answer(at(0), values, at(0), age=1e15)
    assert served.skew().predictions == 2


def test_names_that_the_service_does_not_have_are_told(served: Served) -> None:
    served.answer(at(0.1), {"windspeed": 0.0, "seen": 0}, at(0))
    report = served.skew()
    assert report.foreign == ("windspeed",) and "reports__wind" in report.unlogged
    assert "no feature of the service: windspeed" in str(report)


def test_a_log_with_other_names_only_says_which(served: Served) -> None:
    served.answer(at(0.1), {"windspeed": 0.0}, at(0))
    with pytest.raises(BoxError, match="no features to compare") as caught:
        served.skew()
    assert "it has windspeed; the service has reports__wind" in caught.value.why
