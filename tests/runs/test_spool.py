"""The spool survives whatever a killed task or a full disk leaves in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.runs import batches, spool
from boxplat.runs.profiles import metrics
from boxplat.runs.profiles.sample import Sampler

RUN = {"kind": "run", "at": 1.0, "flow": "F", "run": "7"}
START = {"kind": "start", "at": 2.0, "run": "7", "step": "a", "task": "1", "attempt": 0, "stack": []}
CLONE = {"kind": "clone", "at": 2.5, "run": "7", "step": "b", "task": "2"}
END = {**START, "kind": "end", "at": 3.0, "ok": True, "artifacts": {"x": 1}, "digests": {}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
odd_records = st.fixed_dictionaries(
    {"kind": st.sampled_from(["run", "start", "error", "end", "clone", "tags", "note", "other"]), "at": json_values},
    optional={
        name: json_values
        for name in ("flow", "run", "step", "task", "attempt", "stack", "ok", "artifacts", "digests", "params", "text")
    },
)
lines = st.binary(max_size=40) | odd_records.map(lambda record: json.dumps(record).encode())


@given(st.lists(lines, max_size=8))
@settings(deadline=None)
def test_garbage_never_raises_and_never_hides_good_records(garbage: list[bytes]) -> None:
    good = [json.dumps(record).encode() for record in (RUN, START, END)]
    mixed = b"\n".join([*garbage, *good])
    assert spool.records_of(mixed)[-3:] == [RUN, START, END]


@given(st.lists(odd_records, max_size=8))
@settings(deadline=None)
def test_whatever_parses_can_be_shipped(odd: list[dict[str, Any]]) -> None:
    tally = batches.Tally()
    for record in spool.records_of("\n".join(json.dumps(item) for item in odd).encode()):
        tally.take(record)
        batch = batches.facts(record)
        if record["kind"] == "end":
            batch.add(batches.results(record, tally.count))
        assert all(isinstance(value, str) for value in {**batch.params, **batch.tags}.values())
    batches.summary(tally, 5.0, 1.0)


def test_what_a_profile_tells_is_not_taken_on_trust() -> None:
    for odd in (None, "x", [1], {"a": 1}, float("nan"), float("inf"), -1, 2.5, True, 10**400):
        start = {**START, "pid": odd, "asked": {"cpu": odd, "memory": odd, "gpu": odd, "vram": odd}, "resident": odd}
        end = {**END, "profile": {"peak": odd, "inherited": odd, "cpu_seconds": odd, "vram": odd, "disk_read": odd}}
        records = spool.records_of("\n".join(json.dumps(item) for item in (start, end)).encode())
        (found,) = Sampler(1, 10.0).take(records)
        assert found.ok and found.memory >= 0
    record = {"kind": "profile", "at": 1.0, "step": "a", "cost": 1.0, "profile": {"memory": "x", "cpu_joules": None}}
    assert metrics.of([record])["boxplat.peak_memory_mib.a"] == 0.0


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_tail_yields_each_record_once_however_the_file_grows(data: st.DataObject) -> None:
    import tempfile

    written = [RUN, *({**START, "task": str(number)} for number in range(6))]
    content = b"".join(b"\n" + json.dumps(record).encode() + b"\n" for record in written)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spool")
        tail = spool.Tail(path)
        seen = tail.read()
        for begin, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            with path.open("ab") as file:
                file.write(content[begin:end])
            seen += tail.read()
    assert seen == written


def test_a_half_written_record_spoils_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool.append(path, RUN)
    with path.open("ab") as file:
        file.write(b"\n" + json.dumps(START).encode()[:20])
    spool.append(path, END)
    assert spool.Tail(path).read() == [RUN, END]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_flow_started_by_a_task_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    for record in (RUN, {**RUN, "run": "8"}, START, {**START, "run": "8"}, {"kind": "tags", "at": 1.0, "tags": {}}):
        spool.append(path, record)
    assert [record.get("run") for record in spool.Tail(path).read()] == ["7", "7", None]


def test_results_by_kind() -> None:
    artifacts = {"auc": 0.5, "n": 3, "ok": True, "name": "x", "table": {"a b": 1, "c": 2.5}, "odd*key": 1, "list": [1]}
    batch = batches.results({**END, "artifacts": artifacts}, 4)
    assert {name: value for name, value, _, _ in batch.metrics} == {
        "auc": 0.5,
        "n": 3.0,
        "table.a b": 1.0,
        "table.c": 2.5,
        "odd_key": 1.0,
    }
    assert {(at, step) for _, _, at, step in batch.metrics} == {(3.0, 4)}
    assert batch.tags == {"artifact.ok": "true", "artifact.name": "x"}


def test_a_parameter_keeps_its_first_value_and_a_tag_its_last() -> None:
    batch = batches.Batch(params={"a": "1"}, tags={"t": "1"})
    batch.add(batches.Batch(params={"a": "2", "b": "3"}, tags={"t": "2"}))
    assert (batch.params, batch.tags) == ({"a": "1", "b": "3"}, {"t": "2"})


def test_tally_counts_retries_and_what_was_caught_but_no_clones() -> None:
    tally = batches.Tally()
    error = {**START, "kind": "error", "error": "E", "traceback": "T"}
    second = {"attempt": 1, "task": "2"}
    for record in (
        CLONE,
        START,
        error,
        END,
        {**START, "task": "2"},
        {**error, "task": "2"},
        {**START, **second},
        {**END, **second},
    ):
        tally.take(record)
    assert tally.caught == {"a/1"}
    assert tally.attempts == {"a/1": 0, "a/2": 1}
    assert list(tally.spans) == ["a"]


def test_index_in_a_nested_foreach() -> None:
    assert batches.index_text([{"index": 2}, {"index": 0}]) == "2.0"
    assert batches.index_text([{"index": None}]) == "0"
