"""`box why` and the histories: from any thing to what it was made of, and to what it went into."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat import trees
from boxplat.box import Box
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.doctor import storage
from boxplat.doctor.probe import Site
from boxplat.releases.why import Node
from boxplat.releases.why.periods import Period, Share, shares
from boxplat.serving.log import compact, deletions, retention
from boxplat.serving.log.asking import folder_of
from tests.releases.record import story
from tests.releases.record.test_chain import opened


@pytest.fixture
def box(project: Path) -> Iterator[Box]:
    """Trained once, released twice, split, promoted; without a tracking server."""
    (project / "boxplat.toml").write_text('[endpoints.delay]\nmodel = "delay"\n')
    made = Box(project, by="me/cli")
    story.trained(made.state, made.paths)
    first = story.released(made.state)
    made.state.releases.split("delay", {first: 100}, "me/cli", kind="deploy", reason="the first")
    story.answered(made.paths, first, [1, 2, "given-id"])
    story.promoted(made.state, 3)
    second = story.released(made.state, 4)
    made.state.releases.split("delay", {first: 90, second: 10}, "me/cli", reason="try it")
    story.answered(made.paths, first, [3])
    story.answered(made.paths, second, [4], status=500)
    yield made
    made.state.close()


def all_of(node: Node) -> Iterator[Node]:
    yield node
    for child in node.below:
        yield from all_of(child)


def one(node: Node, kind: str, role: str | None = None) -> Node:
    (found,) = [each for each in all_of(node) if each.kind == kind and role in (None, each.role)]
    return found


def test_a_prediction_leads_to_code_parameters_and_data(box: Box) -> None:
    answer = box.why("given-id")
    top = answer.subject
    assert (top.kind, top.facts["weight"], top.facts["keys"]) == ("prediction", 100, {"carrier": "UA"})
    assert one(top, "release").name == "delay@1" and one(top, "model version").name == "models:/delay/3"
    assert one(top, "run").name == "1" and one(top, "parameters").facts == {"seed": "1", "epochs": "8"}
    assert one(top, "data").facts == story.DATA
    code = one(top, "code")
    assert code.facts["git_commit"].startswith("c0ffee") and code.facts["files_now"] == "the same"
    assert one(top, "feature service", "reads").name == one(top, "feature service", "trained with").name == "delay_v1"
    assert one(top, "evidence").facts["latency"].startswith("refused") and one(top, "decision").record
    assert answer.record and not top.notes


@pytest.mark.parametrize("subject", ["1", "run/1", story.TRACKING])
def test_a_run_leads_to_releases_and_what_they_answered(box: Box, subject: str) -> None:
    top = box.why(subject).subject
    versions = [node.name for node in top.below if node.kind == "model version"]
    assert versions == ["models:/delay/3", "models:/delay/4"]
    traffic = [node for node in all_of(top) if node.kind == "traffic"]
    assert [(node.facts["predictions"], node.facts.get("failed")) for node in traffic] == [(4, None), (1, 1)]
    assert [[share.name for share in node.below] for node in traffic] == [["100 %", "90 %"], ["10 %"]]
    assert traffic[0].below[0].facts["until"] == traffic[0].below[1].facts["from"]


@pytest.mark.parametrize(
    ("subject", "kind", "name"),
    [
        ("delay@2", "release", "delay@2"),
        ("delay/2", "release", "delay@2"),
        ("delay/4", "model version", "models:/delay/4"),
        ("models:/delay/3", "model version", "models:/delay/3"),
        ("0000000000000001", "prediction", "0000000000000001"),
        ("0000000000000001/0", "prediction", "0000000000000001"),
    ],
)
def test_what_is_meant(box: Box, subject: str, kind: str, name: str) -> None:
    found = box.why(subject).subject
    assert (found.kind, found.name) == (kind, name)


@given(st.text(min_size=1, max_size=40) | st.from_regex(r"(delay[@/])?[0-9]{1,3}(/[0-9])?", fullmatch=True))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_id_that_a_client_gave_leads_to_its_prediction(box: Box, given_id: str) -> None:
    kept = given_id.encode(errors="replace").decode()
    story.answered(box.paths, 1, [given_id])
    found = box.why(f"prediction/{kept}").subject
    assert (found.kind, found.name) == ("prediction", kept) and one(found, "run").name == "1"


def test_what_else_may_be_meant_is_told(box: Box) -> None:
    story.released(box.state)
    answer = box.why("delay/3")
    assert (answer.subject.name, answer.also) == ("delay@3", ("models:/delay/3",))
    assert trees.answer(answer).endswith("also: box why models:/delay/3")
    story.answered(box.paths, 1, ["1"])
    answer = box.why("1")
    assert (answer.subject.kind, answer.also) == ("run", ("prediction/1",))
    assert box.why("prediction/1").subject.kind == "prediction"


@pytest.mark.parametrize(
    ("subject", "near"),
    [("delay@9", "delay@2"), ("0000000000000012", "000000000000000"), ("run/7", "run/1"), ("'; x", ""), ("\ud800", "")],
)
def test_the_unknown_has_a_nearest(box: Box, subject: str, near: str) -> None:
    with pytest.raises(BoxError, match="nothing is known of") as caught:
        box.why(subject)
    assert caught.value.code is ExitCode.NOT_FOUND and near in caught.value.what


def test_a_prediction_that_was_deleted_is_told_of(box: Box) -> None:
    folder = folder_of(box.paths, "delay")
    assert compact.compact(folder) == 3
    for file in folder.glob("*.parquet"):
        os.utime(file, (time.time() - 9 * 86400,) * 2)
    assert len(retention.enforce(folder, days=7, mib=0)) == 3
    with pytest.raises(BoxError) as caught:
        box.why("given-id")
    assert "no longer has 5 predictions" in caught.value.why and "log_days" in caught.value.why
    assert "box endpoints history delay" in caught.value.why
    traffic = one(box.why("delay@1").subject, "traffic")
    assert (traffic.facts["predictions"], traffic.facts["deleted"]) == (0, 4) and traffic.facts["first"] > 1e9


def test_notes_on_deletions_survive_what_a_full_disk_leaves(tmp_path: Path) -> None:
    gone = deletions.Deleted("a.parquet", 1.0, "age", 2, 0.5, 0.75, {7: 2})
    deletions.note(tmp_path, gone)
    with (tmp_path / deletions.FILE).open("ab") as file:
        file.write(b'{"file": "b')
    deletions.note(tmp_path, gone)
    assert deletions.read(tmp_path) == [gone, gone] and deletions.read(tmp_path / "none") == []
    deletions.note(tmp_path / "none", gone)
    (tmp_path / "c.parquet").write_text("no Parquet")
    assert deletions.described(tmp_path / "c.parquet", "size").predictions == 0


def test_a_prediction_that_does_not_fit_says_so(box: Box) -> None:
    story.answered(box.paths, 9, [5])
    assert box.why("0000000000000005").subject.notes == ("the box knows no release 9 of delay",)
    third = story.released(box.state, 5)
    story.answered(box.paths, third, [6])
    notes = " ".join(box.why("0000000000000006").subject.notes)
    assert "no traffic for release 3" in notes and "version 3, its release has 5" in notes


def test_what_became_known_later_stands_beside_a_prediction(box: Box) -> None:
    labels = box.root / "labels.csv"
    labels.write_text("id,label\ngiven-id,1\n")
    box.outcomes.add("delay", str(labels))
    found = one(box.why("given-id").subject, "outcome")
    assert (found.name, round(found.facts["loss"], 4)) == ("1.0", 0.0625) and found.facts["at"] > 1e9
    assert not [node for node in all_of(box.why("0000000000000001").subject) if node.kind == "outcome"]


def test_code_that_was_changed_since_is_told(box: Box) -> None:
    (box.root / "flows" / "train.py").write_text("print('other')\n")
    assert one(box.why("1").subject, "code").facts["files_now"] == "changed since"
    (box.root / "flows" / "train.py").unlink()
    assert one(box.why("1").subject, "code").facts["files_now"] == "gone"


def test_a_run_without_its_folder_still_answers(box: Box) -> None:
    (box.paths.run_dir(1) / "spool.jsonl").unlink()
    top = box.why("1").subject
    assert one(top, "parameters").facts == {"seed": "1"} and any("tracking server" in note for note in top.notes)


def test_the_history_of_an_endpoint(box: Box) -> None:
    found = box.endpoints.history("delay")
    assert [told.what for told in found.entries] == [
        "release 1 made of delay:c3 with delay version 3",
        "live: 1=100 %",
        "release 2 made of delay:c4 with delay version 4",
        "live: 1=90 %, 2=10 % (split); before: 1=100 %",
    ]
    assert [told.because for told in found.entries][1:4:2] == ["the first", "try it"]
    assert [dict(live.period.weights) for live in found.live] == [{1: 100}, {1: 90, 2: 10}]
    assert found.live[1].versions == {1: "delay version 3", 2: "delay version 4"}
    text = trees.history(found)
    assert "1 of 2 gates passed, refused: latency" in text and "LIVE FROM" in text


def test_the_history_of_a_model_is_that_of_its_releases_too(box: Box) -> None:
    box.state.releases.add("other", "other:c", "another", 1, None, "sha256:e", "me")
    found = box.models.history("delay")
    assert [told.entry.kind for told in found.entries] == [
        "release.created", "traffic.set", "model.promoted", "release.created", "traffic.set",
    ]  # fmt: skip
    assert {live.endpoint for live in found.live} == {"delay"}


def test_what_a_process_said_stays_on_one_line(box: Box) -> None:
    words = "starting\nout of luck\n"
    said = {"said": words, "seconds": 0.5}
    box.state.releases.split(
        "delay", {1: 100}, "supervisor", kind="return", reason=f"it crashed\n{words}", evidence=said
    )
    told = box.endpoints.history("delay").entries[-1]
    assert told.because == "it crashed; said out of luck; seconds 0.5"
    assert told.entry.data["evidence"] == said, "all of it is in the entry"


def test_values_of_an_environment_are_nowhere_to_be_read(box: Box) -> None:
    kept = {"workers": 2, "env": {"API_KEY": "correct horse", "PLAIN": "1"}}
    made = box.state.releases.add("delay", "delay:c", None, None, None, "sha256:e", "me", settings=kept)
    (entry,) = [one for one in box.state.record.entries() if one.data.get("number") == made.number]
    assert entry.data["settings"]["workers"] == 2 and entry.data["settings"]["env"].keys() == {"API_KEY", "PLAIN"}
    name = f"delay@{made.number}"
    shown = [story.plain(box.why(name)), story.plain(box.endpoints()), trees.answer(box.why(name)), entry.data]
    assert "correct horse" not in str(shown) and str(shown).count("sha256:") > 4
    assert box.state.releases.all("delay")[0].settings == kept and box.state.record.verify(), "the process needs them"


@pytest.mark.parametrize("of", ["endpoints", "models"])
def test_no_history_of_what_is_not_there(box: Box, of: str) -> None:
    with pytest.raises(BoxError, match="did you mean 'delay'") as caught:
        getattr(box, of).history("dalay")
    assert caught.value.code is ExitCode.NOT_FOUND
    assert ("tracking server does not answer" in caught.value.why) is (of == "models")


def test_a_tampered_entry_is_named_and_not_believed(box: Box) -> None:
    opened(box.root).execute("update record set entry = replace(entry, '\"1\":90', '\"1\":10') where number = 6")
    answer = box.why("delay@1")
    assert {fault.number for fault in answer.record.faults} == {6, None}
    assert [share.name for share in one(answer.subject, "traffic").below] == ["100 %"]
    assert trees.answer(answer).startswith("NOT TO BE RELIED ON: ")
    assert "entry 6 is changed" in trees.history(box.endpoints.history("delay"))


@pytest.mark.parametrize(
    ("sql", "number", "told"),
    [
        ("update release set model_version = 9 where number = 1", 2, "its model_version is 3, the state has 9"),
        ("update release set bento = 'delay:x' where number = 1", 2, "its bento is delay:c3, the state has delay:x"),
        ("delete from release where number = 1", 2, "no release 1"),
        ("update traffic set weight = 91 where number = 1", 6, "the state has {'1': 91, '2': 10}"),
        ("delete from traffic", 6, "the state has {}"),
        ("insert into traffic values ('else', 1, 100)", None, "no entry tells of the traffic of else"),
        ("update endpoint set shadow = 2", 6, "it set the shadow to None, the state has 2"),
        ("update release set run = 'x' where number = 1", 2, "its tracking_run is"),
        ("update release set created_by = 'you' where number = 1", 2, "its by is me/cli, the state has you"),
        ("update release set evidence = '{}' where number = 1", 2, "its gates is"),
        (
            "update release set settings = '{\"a\": 1}' where number = 1",
            2,
            "its settings is {}, the state has {'a': 1}",
        ),
        (
            "insert into release (endpoint, number, bento, environment, created, created_by) "
            "values ('delay', 9, 'x', 'e', 1, 'you')",
            None,
            "no entry tells of release 9 of delay",
        ),
    ],
)
def test_a_state_that_is_not_what_was_decided_is_told(box: Box, sql: str, number: int | None, told: str) -> None:
    with box.state.database.write() as tx:
        tx.execute(sql)
    (fault,) = box.state.record.verify().faults
    assert (fault.number, fault.what) == (number, "contradicted") and told in fault.detail
    assert len(box.endpoints.history("delay").entries) == 4, "the entry itself is sound"


def test_a_release_that_the_state_has_otherwise_says_so(box: Box) -> None:
    with box.state.database.write() as tx:
        tx.execute("update release set model_version = 4 where number = 1")
    assert "its model_version is 3, the state has 4" in " ".join(box.why("delay@1").subject.notes)


def _appends(root: str, count: int) -> None:
    state = StateStore.open(Paths(Path(root)))
    for number in range(count):
        with state.database.write() as tx:
            state.record.append(tx, "gateway", "key.made", "me", {"name": str(number)})
    state.close()


def test_many_processes_make_one_chain(project: Path) -> None:
    several = multiprocessing.get_context("spawn")
    made = [several.Process(target=_appends, args=(str(project), 15)) for _ in range(3)]
    for process in made:
        process.start()
    for process in made:
        process.join(300)
    state = StateStore.open(Paths(project))
    verdict = state.record.verify()
    assert verdict and verdict.entries == 46
    state.close()


def site(paths: Paths) -> Site:
    return Site(paths, None, {}, Path("none"))


def test_the_doctor_verifies(box: Box) -> None:
    whole = storage.record(site(box.paths))
    head = box.state.record.verify().head
    assert head is not None and whole.state == "ok" and head.hash in whole.detail
    opened(box.root).execute("delete from record where number = 4")
    found = storage.record(site(box.paths))
    assert found.state == "fail" and "entry 4 is missing" in found.detail and "record-tampered.md" in found.fix


def test_the_doctor_changes_nothing_and_tells_a_lag(box: Box, tmp_path: Path) -> None:
    assert storage.record(site(Paths(tmp_path))).state == "skip"
    box.paths.database.with_name("record.heads").unlink()
    assert storage.record(site(box.paths)).state == "warn"
    opened(box.root).execute("pragma user_version = 2")
    assert storage.record(site(box.paths)).state == "fail", "its locks are gone, whatever the file says of its version"
    opened_again = sqlite3.connect(box.paths.database)
    opened_again.execute("drop table record")
    opened_again.close()
    assert storage.record(site(box.paths)).state == "skip"


def period(
    begin: float, end: float | None, weights: dict[int, int], shadow: int | None = None, entry: int = 1
) -> Period:
    return Period(begin, end, weights, shadow, "me", "split", "", entry)


def test_times_with_the_same_share_are_one() -> None:
    found = [
        period(0, 1, {7: 100}, entry=1),
        period(1, 2, {7: 100}, 8, entry=2),
        period(2, 3, {7: 90, 8: 10}, entry=3),
        period(3, None, {7: 100}, entry=4),
    ]
    assert shares(found, 7) == [
        Share(0, 2, 100, False, (1, 2)),
        Share(2, 3, 90, False, (3,)),
        Share(3, None, 100, False, (4,)),
    ]
    assert shares(found, 8) == [Share(1, 2, 0, True, (2,)), Share(2, 3, 10, False, (3,))]
    assert shares(found, 9) == []


def test_answers_are_plain_json(box: Box) -> None:
    for subject in ("given-id", "delay@1", "models:/delay/3", "1"):
        found: Any = story.plain(box.why(subject))
        assert found["subject"]["kind"] and found["record"]["faults"] == [] and found["record"]["head"]["number"] == 6
    history: Any = story.plain(box.endpoints.history("delay"))
    assert history["live"][1]["period"]["weights"] == {"1": 90, "2": 10} and history["entries"][0]["entry"]["hash"]
