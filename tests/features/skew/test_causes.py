"""Each way in which served and recomputed values can differ is told from the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.skew.definitions import digests
from tests.features.skew.conftest import DEFINITIONS, NAMES, ROWS, Row, Served, at, causes

NOON_ROW = ROWS[4]


def changed(rows: tuple[Row, ...], event: float, **values: object) -> tuple[Row, ...]:
    """With other values in the row of a time."""
    return tuple(replace(row, **values) if row.event == event else row for row in rows)


def test_what_is_served_as_it_is_does_not_differ(served: Served) -> None:
    for row in ROWS:
        served.row(row)
        served.row(row, at(row.event + 0.5))
    served.answer(at(9.5), dict.fromkeys(NAMES, None), at(3))
    served.answer(at(0), {"wind": float("nan")} | dict.fromkeys(NAMES[1:]), None, airport=7)
    report = served.skew()
    assert (report.count, report.predictions, report.values, report.passed) == (0, 18, 72, True)
    assert report.releases == (1,) and report.services == ("weather_v1",)
    assert served.state.events.all()[-1].kind == "features.skew"


def test_late_data(served: Served) -> None:
    served.row(NOON_ROW, at(0.9))
    served.history((*ROWS, Row(0.5, 77.0, 0, "sky 0", created=2)))
    report = served.skew()
    assert causes(report) == {"wind": {"late": 1}}
    example = report.differences[0].reasons[0].example
    assert (example.id, example.served, example.recomputed) == ("request 1", "0.0", "77.0")
    assert example.served_event == at(0).isoformat() and example.recomputed_event == at(0.5).isoformat()


def test_a_row_that_was_corrected_as_a_whole_is_late(served: Served) -> None:
    served.row(NOON_ROW)
    served.history(changed(ROWS, 0, wind=1.0, seen=1, sky="x", gust=9.0, created=5))
    assert causes(served.skew()) == {name: {"late": 1} for name in NAMES}


def test_an_online_store_that_was_behind(served: Served) -> None:
    served.row(ROWS[3], at(0.5))
    served.answer(at(0.5), dict.fromkeys(NAMES), None)
    found = causes(served.skew())
    assert found["wind"] == {"behind": 1, "unknown": 1} or found["wind"] == {"behind": 2}


def test_an_online_store_that_was_ahead(served: Served) -> None:
    served.row(ROWS[5], at(0.5))
    assert causes(served.skew())["wind"] == {"ahead": 1}


def test_life_time(served: Served) -> None:
    served.row(ROWS[7], at(9.5))
    served.answer(at(2), dict.fromkeys(NAMES), at(2), time=at(9))
    report = served.skew()
    assert causes(report) == {name: {"ttl": 2} for name in NAMES}
    assert report.differences[0].share == 1.0 and not report.passed


def test_types(served: Served) -> None:
    served.row(NOON_ROW, gust=0.1, sky=" Sky 0 ", seen="none", wind=1e-300)
    assert causes(served.skew()) == {
        "gust": {"type": 1},
        "sky": {"type": 1},
        "seen": {"type": 1},
        "wind": {"code:rewritten": 1},
    }
    assert served.skew().differences[0].reasons[0].example.served is not None


def test_whole_numbers_in_either_spelling_are_the_same(served: Served) -> None:
    served.row(ROWS[7], seen=3.0)
    assert served.skew().count == 0


@pytest.mark.parametrize("created", [None, 8.0], ids=["as before", "written anew"])
def test_code_that_makes_one_feature_otherwise(served: Served, created: float | None) -> None:
    for row in ROWS:
        served.row(row)
    served.history([replace(row, wind=row.wind + 1 if row.wind is not None else None, created=created) for row in ROWS])
    assert causes(served.skew()) == {"wind": {"code:rewritten": len(ROWS)}}


def test_code_that_makes_other_rows(served: Served) -> None:
    served.row(NOON_ROW)
    served.history([replace(row, event=row.event + 0.25, wind=5.0) for row in ROWS])
    assert causes(served.skew())["wind"] == {"code:gone": 1}


def test_a_definition_that_changed_since_the_release(served: Served) -> None:
    then = digests(served.paths, served.config, "weather_v1")
    assert set(then) == {f"reports__{name}" for name in NAMES}
    with served.state.database.write() as tx:
        served.state.record.append(tx, "endpoint/e", "release.created", "test", {"number": 1, "features": then})
    served.row(NOON_ROW)
    served.declare(DEFINITIONS.replace('name="seen", dtype=Int64', 'name="seen", dtype=Float64'))
    served.apply()
    now = digests(served.paths, served.config, "weather_v1")
    assert [name for name in then if then[name] != now[name]] == ["reports__seen"]
    served.history(changed(ROWS, 0, wind=3.0, seen=4))
    assert causes(served.skew()) == {"wind": {"code:rewritten": 1}, "seen": {"code:definition": 1}}


def test_without_ages(served: Served) -> None:
    old, new = ROWS[3], NOON_ROW
    served.answer(at(0.5), {"wind": old.wind, "seen": old.seen}, None)
    served.answer(at(0.5), {"wind": 12345.0, "seen": 11}, None)
    served.answer(at(0.5), {"wind": 12345.0, "seen": new.seen}, None)
    served.answer(at(0.5), {"wind": new.wind, "seen": new.seen}, None)
    report = served.skew()
    assert causes(report) == {
        "wind": {"behind": 1, "unknown": 1, "code:rewritten": 1},
        "seen": {"behind": 1, "unknown": 1},
    }
    assert report.unlogged == ("reports__sky", "reports__gust")


def test_transformations(served: Served) -> None:
    served.answer(at(0.1), {"wind": 0.0, "over": -3.0}, at(0), service="weather_v2", knots=3.0)
    served.answer(at(0.1), {"wind": 0.0, "over": -4.0}, at(0), service="weather_v2", knots=3.0)
    served.answer(at(0.1), {"wind": 1.0, "over": -2.0}, at(0), service="weather_v2", knots=3.0)
    assert causes(served.skew()) == {
        "compared__over": {"code:transformation": 1, "inputs": 1},
        "wind": {"code:rewritten": 1},
    }


def test_limits_and_windows(served: Served) -> None:
    for hour in range(4):
        served.row(ROWS[4 + hour], wind=99.0 if hour == 0 else 10.0 * hour)
    assert served.skew().over == ("reports__wind",) and served.skew().refusal().code is ExitCode.CHECK_FAILED
    assert served.skew(limit=0.25).passed and not served.skew(limit=0.24).passed
    assert served.skew(limit=1.0, tolerance=0.99).count == 1
    assert served.skew(since=at(0.5).isoformat()).predictions == 3
    assert served.skew(limit=0).predictions == 4


def test_newest_predictions(served: Served) -> None:
    from boxplat.features.skew import skew

    for row in ROWS:
        served.row(row)
    assert skew(served.state, served.paths, served.config, "e", "test", limit=3).predictions == 3


def test_a_service_that_is_gone_does_not_pass(served: Served) -> None:
    served.row(NOON_ROW)
    served.answer(at(0), {"wind": 0.0}, at(0), service="weather_v0")
    report = served.skew()
    assert report.gone == {"weather_v0": 1} and not report.passed and "weather_v0" in str(report.refusal())


def test_nothing_to_compare(served: Served) -> None:
    with pytest.raises(BoxError, match="no features"):
        served.skew()
    with pytest.raises(BoxError, match="no endpoint"):
        from boxplat.features.skew import skew

        skew(served.state, served.paths, served.config, "other", "test")
