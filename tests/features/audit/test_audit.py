"""Sets of a small shop: an honest one passes, and each way of cheating is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.audit.report import ABSENT, ELSEWHERE, FUTURE, OTHER, UNDECLARED
from boxplat.render import as_json

from .conftest import Shop


def test_an_honest_set_passes_and_says_what_was_checked(shop: Shop) -> None:
    report = shop.audit()
    assert report.passed, str(report)
    assert [control.fired for control in report.controls] == [True, True, True]
    assert (report.moments, report.rows) == (4, 4) and set(report.columns) == {"shop", "amount", "shop_days", "rate"}
    hidden = {one.source: (one.rows, one.values) for one in report.hidden}
    assert hidden["orders"][0] > 0 and hidden["orders"][1] > 0 and hidden["rates"][0] > 0
    kept = Path(report.file)
    assert kept.read_text() == f"{report}\n" and kept.stat().st_mode & 0o077 == 0
    assert "PASSED" in str(report) and "4 decision times" in str(report)
    (event,) = shop.state.events.all(subject="features")
    assert event.kind == "features.audited" and event.data["passed"] is True
    assert list((shop.paths.state / "audits").iterdir()) == [kept], "the working folder must go"


def test_columns_that_know_the_future_are_named_with_examples(shop: Shop) -> None:
    shop.code("""
    def leaky(folder, rows=None):
        return made(folder, rows, "o.amount, o.days, o.shipped")
    """)
    report = shop.audit(table=str(shop.write("leaky", "leaky.parquet")), build="make:leaky")
    found = {one.column: one for one in report.findings}
    assert set(found) == {"days", "shipped"} and {one.kind for one in report.findings} == {FUTURE}
    days = found["days"]
    assert days.rows == days.checked == 4 or days.share > 0.5
    assert days.auc is not None and days.auc > 0.95
    assert days.examples[0].value is not None and days.examples[0].honest is None
    refusal = report.refusal()
    assert refusal.code == ExitCode.GATE_REFUSED == 5 and "days" in refusal.why and refusal.log == report.file
    assert "REFUSED" in str(report) and "days: id " in str(report)
    values = json.loads(as_json(**report.as_dict()))
    assert values["schema_version"] == 1 and values["passed"] is False and values["findings"][0]["share"] > 0.5


def test_a_join_on_the_wrong_time_is_seen_only_where_it_matters(shop: Shop) -> None:
    """The shop's mean of what was placed (not shipped) by then knows of parcels still on their way."""
    shop.code("""
    SQL = SQL.replace("p.shipped <= o.placed", "p.placed < o.placed")
    """)
    report = shop.audit(table=str(shop.write("honest", "placed.parquet")))
    assert [(one.column, one.kind) for one in report.findings] == [("shop_days", FUTURE)]
    mean = report.findings[0].mean_difference
    assert mean is not None and 0 < mean < 4
    assert shop.audit(table=str(shop.data / "placed.parquet"), tolerance=5.0, seed=3).passed


def test_what_code_remembers_does_not_reach_the_next_decision_time(shop: Shop) -> None:
    shop.code("""
    from functools import cache

    @cache
    def everything(folder):
        return made(folder)

    def cached(folder, rows=None):
        import pyarrow.compute as pc
        return everything(folder).filter(pc.is_in(everything(folder)["id"], rows["id"])).to_pandas()
    """)
    assert shop.audit(build="make:cached").passed


def test_a_column_from_an_uncut_file_is_noticed(shop: Shop) -> None:
    """An absolute path leads around the cut; that the column stays without any data gives it away."""
    shop.code(f"""
    SIDE = "{shop.data}/orders.parquet"

    def sly(folder, rows=None):
        days = f"(select s.days from read_parquet('{{SIDE}}') s where s.id = o.id) as days"
        found = made(folder, rows, "o.amount, " + days)
        return found

    def slier(folder, rows=None):
        return made(folder, rows, "o.amount, o.days", orders=SIDE)
    """)
    table = str(shop.write("slier", "sly.parquet"))
    report = shop.audit(table=table, build="make:slier")
    assert ("days", ELSEWHERE) in {(one.column, one.kind) for one in report.findings}


def test_code_that_reads_nothing_proves_nothing(shop: Shop) -> None:
    shop.code(f"""
    def stored(folder, rows):
        import pyarrow.parquet as pq
        import pyarrow.compute as pc
        found = pq.read_table("{shop.data}/set.parquet")
        return found.filter(pc.is_in(found["id"], rows["id"]))
    """)
    report = shop.audit(build="make:stored")
    assert not report.passed and [control.fired for control in report.controls] == [True, False, True]
    assert "control did not fire" in report.refusal().why


def test_a_stale_table_is_not_called_a_leak(shop: Shop) -> None:
    shop.code("""
    def other(folder, rows=None):
        return made(folder, rows, "o.amount + 1 as amount")
    """)
    report = shop.audit(build="make:other")
    assert [(one.column, one.kind, one.rows) for one in report.findings] == [("amount", OTHER, 4)]


def test_rows_kept_for_their_outcome_are_missed(shop: Shop) -> None:
    shop.code("""
    def shipped(folder, rows=None):
        return made(folder, rows, where="where o.shipped is not null")
    """)
    report = shop.audit(table=str(shop.write("shipped", "shipped.parquet")), build="make:shipped")
    assert len(report.missing) == 4 and not report.passed
    assert "4 rows vanish" in report.refusal().why and "filter by label after" in str(report)


def test_columns_that_nobody_declares_or_builds_are_refused(shop: Shop) -> None:
    shop.settings(lambda text: text.replace("moments = 4", 'moments = 4\nfeatures = ["shop_days", "rate"]'))
    shop.code("""
    def more(folder, rows=None):
        import pyarrow as pa
        found = made(folder, rows)
        return found if rows is not None else found.append_column("hand", pa.array(range(len(found))))
    """)
    report = shop.audit(table=str(shop.write("more", "more.parquet")), build="make:more")
    assert {(one.column, one.kind) for one in report.findings} == {("hand", ABSENT), ("amount", UNDECLARED)}
    shop.settings(lambda text: text.replace('"rate"]', '"rate"]\nderived = { amount = "price" }'))
    with pytest.raises(BoxError, match="'amount' is made of 'price'") as raised:
        shop.audit()
    assert raised.value.code == ExitCode.USAGE


@pytest.mark.parametrize("where", ["{sources} {out}", ""])
def test_a_command_may_build_the_set(shop: Shop, where: str) -> None:
    """With paths of its own choice, or with the project's: then the table is where it always is."""
    (shop.paths.root / "flows" / "command.py").write_text(
        "import os, sys\nfrom pathlib import Path\nimport pyarrow.parquet as pq\nfrom make import made\n"
        "folder, out = sys.argv[1:] or (os.environ['BOXPLAT_DATA'], '.box/data/set.parquet')\n"
        "pq.write_table(made(Path(folder)), out)\n"
    )
    report = shop.audit(build=f"python flows/command.py {where}", moments=2)
    assert report.passed and report.moments == 2, str(report)
    shop.code("SQL = SQL.replace('p.shipped <=', 'p.placed <')\n")
    table = str(shop.write("honest", "set.parquet"))
    leaks = [one.column for one in shop.audit(build=f"python flows/command.py {where}", table=table).findings]
    assert leaks == ["shop_days"]
