"""A project of 190 orders: placed at known times, shipped later or never; late when that takes more than 2 days."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from boxplat.core.config import load
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.audit import Choice, Report, audit

SETTINGS = """
[audit]
table = ".box/data/set.parquet"
build = "make:honest"
row = ["id"]
label = "late"
given = ["shop"]
moments = 4

[sources.orders]
path = ".box/data/orders.parquet"
known = "placed"
later = {"shipped, days" = "shipped"}

[sources.rates]
path = ".box/data/rates.csv"
known = "stamp"
"""
# Decided when placed. `shop_days`: mean days of what the shop has shipped by then; `rate`: the newest one then.
MAKE = """
    import duckdb
    from pathlib import Path

    SQL = '''
    select o.id, o.placed as event_timestamp, o.shop, {columns},
      (select avg(p.days) from orders p where p.shop = o.shop and p.shipped <= o.placed) as shop_days,
      (select arg_max(r.rate, r.stamp) from rates r where r.stamp <= o.placed) as rate,
      (o.shipped is null or o.days > 2)::int as late
    from orders o {where} order by o.id'''


    def made(folder, rows=None, columns="o.amount", where="", orders=None):
        con = duckdb.connect()
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"create view orders as from read_parquet('{orders or folder / 'orders.parquet'}')")
        con.execute(f"create view rates as from read_csv('{folder / 'rates.csv'}', "
                    "columns={'stamp': 'TIMESTAMPTZ', 'rate': 'DOUBLE'})")
        found = con.sql(SQL.format(columns=columns, where=where)).to_arrow_table()
        return found if rows is None else con.sql("from found where id in (select id from rows)").to_arrow_table()


    def honest(folder, rows=None):
        print("a user's print hurts nobody")
        return made(folder, rows)
"""


@dataclass
class Shop:
    """The project, and its audit."""

    paths: Paths
    state: StateStore
    told: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.paths.data

    def code(self, text: str) -> None:
        """Add to `flows/make.py`."""
        file = self.paths.root / "flows" / "make.py"
        file.write_text(file.read_text() + textwrap.dedent(text))

    def settings(self, change: Callable[[str], str]) -> None:
        self.paths.config.write_text(change(self.paths.config.read_text()))

    def write(self, function: str = "honest", name: str = "set.parquet") -> Path:
        """Build the whole set with a function of `flows/make.py` from all data."""
        import pyarrow.parquet as pq

        scope: dict[str, Any] = {}
        exec((self.paths.root / "flows" / "make.py").read_text(), scope)
        pq.write_table(scope[function](self.data), self.data / name)
        return self.data / name

    def audit(self, **choice: Any) -> Report:
        config = load(self.paths.config, {})
        return audit(self.state, self.paths, config, Choice(**choice), "test", self.told.append)


@pytest.fixture
def shop(project: Path, state: StateStore) -> Shop:
    paths = Paths(project)
    paths.create()
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'; select setseed(0.5)")
    con.execute(
        f"""copy (
          select i::int as id, 'shop' || i % 3 as shop, timestamptz '2026-01-01' + to_hours(i::int * 3) as placed,
            round((hash(i) % 10000)::double / 100, 2) as amount,
            case when i % 11 <> 0 then (1 + hash(i, 1) % 5)::int end as days,
            timestamptz '2026-01-01' + to_hours(i::int * 3) + to_days(days) as shipped
          from range(190) t(i)) to '{paths.data}/orders.parquet' (format parquet)"""
    )
    con.execute(
        f"""copy (select strftime(timestamptz '2026-01-01' + to_hours(i::int * 24), '%Y-%m-%d %H:%M:%S+00') as stamp,
          '0' || (i * 7 % 10) || '.50' as rate from range(50) t(i)) to '{paths.data}/rates.csv' (header)"""
    )
    paths.config.write_text(SETTINGS)
    (project / "flows").mkdir()
    (project / "flows" / "make.py").write_text(textwrap.dedent(MAKE))
    made = Shop(paths, state)
    made.write()
    return made
