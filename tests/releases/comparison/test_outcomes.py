"""Labels that come late, twice, corrected, early, in any format, from several at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.live import OutcomesConfig
from boxplat.core.paths import Paths
from boxplat.features.database import Defaults, connect
from boxplat.releases.outcomes import joined, store, verb
from boxplat.releases.outcomes.store import Added
from tests.releases.comparison.logged import label, log

KEYED = OutcomesConfig(keys=("carrier", "flight"))


def labels(paths: Paths) -> list[tuple[object, ...]]:
    con = connect(Defaults())
    try:
        store.view(con, store.files(store.folder_of(paths, "delay")))
        return con.sql("select id, row, key, label, said from outcomes order by received, id, row, key").fetchall()
    finally:
        con.close()


def test_the_same_again_changes_nothing(paths: Paths) -> None:
    rows = [{"id": "a", "label": True}, {"id": "b", "row": 3, "label": False}, {"id": "a", "label": True}]
    assert label(paths, rows) == Added(rows=3, new=2, same=1, corrected=0, refused=0)
    before = {path: path.read_bytes() for path in store.files(store.folder_of(paths, "delay"))}
    assert label(paths, rows) == Added(rows=3, new=0, same=3, corrected=0, refused=0)
    assert {path: path.read_bytes() for path in store.files(store.folder_of(paths, "delay"))} == before
    assert labels(paths) == [("a", 0, None, 1.0, None), ("b", 3, None, 0.0, None)]


def test_a_correction_is_kept_beside_what_it_corrects(paths: Paths) -> None:
    label(paths, [{"id": "a", "label": 1}])
    assert label(paths, [{"id": "a", "label": 0}]).corrected == 1
    # Back to what it was first is a correction too.
    assert label(paths, [{"id": "a", "label": 1}]).corrected == 1
    assert [row[3] for row in labels(paths)] == [1.0, 0.0, 1.0]


def test_of_one_file_the_last_label_of_a_thing_counts(paths: Paths) -> None:
    assert label(paths, [{"id": "a", "label": 1}, {"id": "a", "label": 0}]).new == 1
    assert labels(paths)[0][3] == 0.0


def test_rows_that_say_nothing_are_refused(paths: Paths) -> None:
    rows = [
        {"carrier": "UA", "flight": 1, "label": None},
        {"carrier": None, "flight": 1, "label": 1.0},
        {"carrier": "UA", "flight": 2, "label": float("nan")},
        {"carrier": "UA", "flight": 3, "label": 0.0},
    ]
    assert label(paths, rows, KEYED) == Added(rows=4, new=1, same=0, corrected=0, refused=3)
    timed = OutcomesConfig(keys=("carrier",), time="at")
    rows = [{"carrier": "UA", "at": moment, "label": 1} for moment in ("2013-01-01T12:00:00Z", "noon")]
    assert label(paths, rows, timed).refused == 1


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl", "json"])
def test_every_format_says_the_same(paths: Paths, settings: Callable[[str], Config], kind: str) -> None:
    """An id of digits keeps its zeros, the airline NA is no missing value, a whole number is one as a float too."""
    rows = [
        {"id": "0012", "carrier": "NA", "flight": 1545, "label": True},
        {"id": "1e5", "carrier": "B6", "flight": 7, "label": False},
    ]
    file = paths.root / f"labels.{kind}"
    texts = [json.dumps(row) for row in rows]
    if kind == "csv":
        file.write_text("id,carrier,flight,label\n0012,NA,1545,true\n1e5,B6,7,false\n")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist([{**row, "flight": float(str(row["flight"]))} for row in rows]), file)
    else:
        file.write_text("\n".join(texts) if kind == "jsonl" else f"[{','.join(texts)}]")
    added = verb.add(paths, settings("[outcomes.delay]\n"), "delay", str(file))
    assert added.new == 2
    assert [row[:4] for row in labels(paths)] == [("0012", 0, None, 1.0), ("1e5", 0, None, 0.0)]
    file.write_bytes(file.read_bytes().replace(b"id", b"no"))
    if kind != "parquet":
        verb.add(paths, settings('[outcomes.delay]\nkeys = ["carrier", "flight"]\n'), "delay", str(file))
        assert {row[2] for row in labels(paths)} == {None, "NA\x1f1545", "B6\x1f7"}


def test_a_value_of_an_odd_type_is_at_worst_a_word(paths: Paths, settings: Callable[[str], Config]) -> None:
    file = paths.root / "labels.jsonl"
    file.write_text('{"id": "a", "row": "x", "label": [1, 2]}\n{"id": "b", "row": "2", "label": [3]}\n')
    assert verb.add(paths, settings(""), "delay", str(file)).new == 2
    assert labels(paths) == [("a", 0, None, None, "[1, 2]"), ("b", 2, None, None, "[3]")]
    file.write_text('{"carrier": "UA", "at": 12, "label": {"x": 1}}\n')
    config = settings('[outcomes.delay]\nkeys = ["carrier"]\ntime = "at"\n')
    assert verb.add(paths, config, "delay", str(file)).refused == 1


def test_labels_that_fit_nothing_are_refused_with_what_is_missing(
    paths: Paths, settings: Callable[[str], Config]
) -> None:
    file = paths.root / "labels.csv"
    file.write_text("carrier,late\nUA,1\n")
    for more in ("", '[outcomes.delay]\nkeys = ["carrier"]\n', '[outcomes.delay]\nlabel = "late"\n'):
        with pytest.raises(BoxError, match="cannot be joined") as caught:
            verb.add(paths, settings(more), "delay", str(file))
        assert caught.value.code == ExitCode.USAGE and "carrier, late" in caught.value.why
    with pytest.raises(BoxError) as caught:
        verb.add(paths, settings(""), "delya", str(file))
    assert caught.value.code == ExitCode.NOT_FOUND


def test_many_files_become_one_with_everything_in_it(paths: Paths) -> None:
    for number in range(70):
        label(paths, [{"id": f"{number:03d}", "label": number % 2}])
    folder = store.folder_of(paths, "delay")
    assert len(store.files(folder)) < 64 and len(list(folder.glob("*.parquet"))) == len(store.files(folder))
    assert [row[0] for row in labels(paths)] == [f"{number:03d}" for number in range(70)]


def test_a_merged_file_counts_instead_of_those_it_was_made_of(paths: Paths) -> None:
    """A process that was killed between the two leaves both, and what it was writing."""
    label(paths, [{"id": "a", "label": 1}])
    label(paths, [{"id": "b", "label": 1}])
    folder = store.folder_of(paths, "delay")
    first, second = store.files(folder)
    whole = pa.concat_tables([pq.read_table(first), pq.read_table(second)])
    pq.write_table(whole, folder / "000000001-000000002.parquet")
    (folder / ".000000003-000000003.part").write_bytes(b"half")
    assert [row[0] for row in labels(paths)] == ["a", "b"]
    label(paths, [{"id": "c", "label": 1}])
    assert [row[0] for row in labels(paths)] == ["a", "b", "c"]


def test_who_adds_at_the_same_time_loses_nothing(paths: Paths) -> None:
    """Four processes add labels of their own and the same one."""
    code = (
        "import sys; from boxplat.core.paths import Paths; from pathlib import Path\n"
        "from tests.releases.comparison.logged import label\n"
        "for n in range(5):\n"
        "    ids = f'{sys.argv[2]}{n}', 'x'\n"
        "    label(Paths(Path(sys.argv[1])), [{'id': one, 'label': 1} for one in ids])"
    )
    root = Path(__file__).parents[3]
    argv = [sys.executable, "-c", code, str(paths.root)]
    running = [subprocess.Popen([*argv, name], cwd=root) for name in "abcd"]
    assert [process.wait(300) for process in running] == [0] * 4
    assert sorted(str(row[0]) for row in labels(paths)) == sorted([f"{a}{n}" for a in "abcd" for n in range(5)] + ["x"])


def test_labels_that_come_before_their_predictions_wait_for_them(
    paths: Paths, settings: Callable[[str], Config]
) -> None:
    config = settings('[outcomes.delay]\nkeys = ["carrier"]\n')
    label(paths, [{"id": "a", "label": 1}, {"id": "a", "row": 1, "label": 1}, {"id": "z", "label": 0}])
    label(paths, [{"carrier": "UA", "label": 1}, {"carrier": "XX", "label": 1}], OutcomesConfig(keys=("carrier",)))
    assert verb.show(paths, config, "delay") == verb.Outcomes(labels=5, corrected=0, waiting=5, releases=())
    rows = [{"id": "a", "rows": 2, "row": row, "keys": {"carrier": "B6"}} for row in (0, 1)]
    rows += [{"id": "u", "keys": {"carrier": "UA"}}, {"id": "none", "keys": None}]
    log(paths, [{**row, "time": 0.0, "release": 1, "prediction": 0.5} for row in rows])
    seen = verb.show(paths, config, "delay")
    assert (seen.labels, seen.waiting, seen.releases) == (5, 2, (verb.Labelled(1, predictions=4, labelled=3),))


def standing(paths: Paths, said: OutcomesConfig) -> dict[tuple[str, int], float]:
    """The losses that count, by id and row."""
    con = connect(Defaults())
    try:
        store.view(con, store.files(store.folder_of(paths, "delay")))
        con.execute(f"create temp view predictions as from read_parquet('{paths.state}/predictions/delay/*.parquet')")
        joined.prepare(con, said)
        found = con.sql(joined.standing("from versions", 0.0 if not said.settle else 3600.0)).fetchall()
        return {(row[1], row[2]): row[4] for row in found}
    finally:
        con.close()


def test_a_label_with_a_time_is_about_the_predictions_before_it(paths: Paths) -> None:
    """The next one counts, not one after it, none that was before, and none that is too far."""
    said = OutcomesConfig(keys=("carrier",), time="at", within="1h")
    log(
        paths,
        [
            {"id": str(minute), "time": 60.0 * minute, "release": 1, "keys": {"carrier": "UA"}, "prediction": 0.0}
            for minute in (0, 30, 50, 80, 100)
        ],
    )
    moments = {30: 1, 70: 0, 100: 1}
    rows = [
        {"carrier": "UA", "at": datetime.fromtimestamp(60 * minute, UTC), "label": value}
        for minute, value in moments.items()
    ]
    label(paths, rows, said)
    assert standing(paths, said) == {("0", 0): 1.0, ("30", 0): 1.0, ("50", 0): 0.0, ("80", 0): 1.0, ("100", 0): 1.0}


@pytest.mark.parametrize(
    "moment", ["2013-11-01T06:00:00Z", "2013-11-01 06:00:00", "2013-11-01T07:00:00+01:00", "1383285600000000"]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_time_in_a_key_is_the_same_however_it_is_written(
    paths: Paths, settings: Callable[[str], Config], moment: str, kind: str
) -> None:
    """The log has microseconds since the epoch."""
    log(paths, [{"id": "a", "time": 0.0, "release": 1, "keys": {"at": 1383285600000000}, "prediction": 0.5}])
    file = paths.root / f"labels.{kind}"
    file.write_text(f"at,label\n{moment},1\n" if kind == "csv" else json.dumps({"at": moment, "label": 1}))
    config = settings('[outcomes.delay]\nkeys = ["at"]\n')
    verb.add(paths, config, "delay", str(file))
    assert verb.show(paths, config, "delay").waiting == 0


def test_words_are_told(paths: Paths) -> None:
    assert label(paths, [{"id": "a", "label": "yes"}, {"id": "b", "label": "1"}]).words == 1


def test_a_label_counts_as_it_stood_when_its_unit_counted(paths: Paths) -> None:
    """A later correction does not rewrite what a test has seen; with time to settle it does count."""
    log(paths, [{"id": "a", "time": 0.0, "release": 1, "prediction": 0.0}])
    label(paths, [{"id": "a", "label": 1}])
    label(paths, [{"id": "a", "label": 0}])
    assert standing(paths, OutcomesConfig()) == {("a", 0): 1.0}
    assert standing(paths, OutcomesConfig(settle="1h")) == {("a", 0): 0.0}


@pytest.mark.parametrize(
    ("loss", "prediction", "label_", "bound", "expected"),
    [
        ("brier", 0.2, 1, 0, 0.64),
        ("error", 0.4, 1, 0, 1.0),
        ("error", "cat", "dog", 0, 1.0),
        ("error", "cat", "cat", 0, 0.0),
        ("log", 0.0, 1, 0, 1.0),
        ("log", 0.5, 1, 0, 0.15068),
        ("squared", 3.0, 1.0, 8.0, 0.5),
        ("absolute", 3.0, -9.0, 10.0, 1.0),
        ("column:cost", None, 1, 50.0, 0.2),
        # Nothing is known of the loss: that is not the largest one.
        ("brier", 0.2, "yes", 0, None),
        ("brier", None, 1, 0, None),
        ("brier", "NaN", 1, 0, None),
        ("column:price", 0.2, 1, 50.0, None),
    ],
)
def test_losses(
    paths: Paths, loss: str, prediction: object, label_: object, bound: float, expected: float | None
) -> None:
    log(paths, [{"id": "a", "time": 0.0, "release": 1, "prediction": prediction}])
    label(paths, [{"id": "a", "label": label_, "cost": 10}])
    found = standing(paths, OutcomesConfig(loss=loss, bound=bound))
    assert found == standing(paths, OutcomesConfig(loss=loss, bound=bound, prediction="prediction"))
    assert found == ({} if expected is None else {("a", 0): pytest.approx(expected, abs=1e-4)})


@pytest.mark.parametrize("loss", ["hinge", "squared", "column:cost"])
def test_a_loss_that_is_none_or_unbounded_is_refused(paths: Paths, loss: str) -> None:
    log(paths, [{"id": "a", "time": 0.0, "release": 1, "prediction": 1}])
    with pytest.raises(BoxError) as caught:
        standing(paths, OutcomesConfig(loss=loss))
    assert caught.value.code == ExitCode.USAGE
