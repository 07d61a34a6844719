"""What a user is told when too little is declared, or when the code under audit fails."""

from __future__ import annotations

import pytest

from boxplat.core.errors import BoxError, ExitCode

from .conftest import Shop


def refused(shop: Shop, code: ExitCode, **choice: object) -> BoxError:
    with pytest.raises(BoxError) as raised:
        shop.audit(**choice)
    error = raised.value
    assert error.code == code and error.why and error.fix and "Traceback" not in error.what
    assert list((shop.paths.state / "audits").glob("work-*")) == []
    return error


def test_nothing_declared(shop: Shop) -> None:
    shop.settings(lambda _: "")
    assert "docs/audit.md" in refused(shop, ExitCode.USAGE).fix
    told = refused(shop, ExitCode.USAGE, table=str(shop.data / "set.parquet"))
    assert "no build and no row and no sources" in told.what


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("set.parquet", "sett.parquet", ExitCode.NOT_FOUND, "did you mean 'set.parquet'"),
        ('row = ["id"]', 'row = ["ids"]', ExitCode.USAGE, "did you mean 'id'"),
        ('label = "late"', 'label = "latte"', ExitCode.USAGE, "no column 'latte'"),
        ("data/rates.csv", "data/rate.csv", ExitCode.NOT_FOUND, "source 'rates' has no file"),
        ("data/rates.csv", "data", ExitCode.USAGE, "cannot be dated"),
        ('known = "stamp"', 'known = "stmp"', ExitCode.USAGE, "source 'rates' cannot be dated"),
        ('known = "stamp"', "", ExitCode.USAGE, "lacks known"),
        ("moments = 4", 'history = "some days"', ExitCode.USAGE, "no duration"),
        ("moments = 4", "moments = 0", ExitCode.USAGE, "1 or more"),
        ("moments = 4", "tolerance = -1", ExitCode.USAGE, "a number, 0 or more"),
        ("make:honest", "mak:honest", ExitCode.FAILED, "No module named 'mak'"),
        ("make:honest", "make:honst", ExitCode.FAILED, "honst"),
    ],
)
def test_a_wrong_declaration(shop: Shop, old: str, new: str, code: ExitCode, said: str) -> None:
    shop.settings(lambda text: text.replace(old, new, 1))
    error = refused(shop, code)
    assert said in f"{error.what} {error.why}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no such shop')", "ValueError: no such shop"),
        ("import os; os.abort()", "make:bad failed"),
        ("import sys; print('out of words'); sys.exit(3)", "SystemExit: 3"),
        ("return 7", "the build returned int"),
        ("return made(folder).select(['shop'])", "returned rows without 'id'"),
        ("return made(folder).slice(0, 0)", "does not return the rows it is asked for"),
    ],
)
def test_code_that_fails(shop: Shop, body: str, said: str) -> None:
    shop.code(f"""
    def bad(folder, rows):
        {body}
    """)
    with pytest.raises(BoxError) as raised:
        shop.audit(build="make:bad")
    error = raised.value
    assert said in f"{error.what}\n{error.why}"
    assert error.log is None or "audit.log" in error.log


def test_data_that_is_not_declared_is_not_there(shop: Shop) -> None:
    shop.settings(lambda text: text[: text.index("[sources.rates]")])
    error = refused(shop, ExitCode.FAILED)
    assert "rates.csv" in error.why and "[sources.NAME]" in error.fix


def test_a_damaged_table(shop: Shop) -> None:
    (shop.data / "set.parquet").write_bytes(b"PAR1 no")
    assert "cannot read" in refused(shop, ExitCode.FAILED).what


def test_a_table_without_a_decided_row(shop: Shop) -> None:
    shop.code("""
    def undecided(folder, rows=None):
        return made(folder, rows, "o.amount, null::timestamptz as due")
    """)
    table = str(shop.write("undecided", "due.parquet"))
    assert "no row to audit" in refused(shop, ExitCode.USAGE, table=table, time="due").what
