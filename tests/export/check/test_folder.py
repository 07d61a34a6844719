"""Faults in the files of an export rather than in what they say: each is found under its name."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, which
from typing import Any

import pytest

from boxplat.cli import box as command
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.check import ABOUT, Fault, check, files, kustomized, schemas, table
from boxplat.export.check.folder import Folder, read
from boxplat.export.diff import difference
from boxplat.export.model import LOCK
from boxplat.export.parity import TABLE
from tests.docs.documents import ROOT, table_rows

pytestmark = pytest.mark.integration
Files = dict[str, bytes]
OVERLAY = "overlays/prod/kustomization.yaml"
DELAY = "base/delay/deployment-delay.yaml"
FILES: list[tuple[str, Callable[[Files], Any]]] = [
    ("lock-file-changed", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kind: Deployments", False)),
    ("lock-file-missing", lambda f: f.pop(DELAY)),
    ("lock-file-unknown", lambda f: f.update({"base/mine.yaml": b"{}"})),
    ("yaml-invalid", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kind: [")),
    ("yaml-invalid", lambda f: swapped(f, DELAY, b"Deployment", b"\xff")),
    ("yaml-duplicate-key", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kind: Deployment\nkind: Job")),
    ("yaml-ambiguous", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kind: on")),
    ("yaml-alias", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kind: &x Deployment\nspare: *x")),
    ("yaml-tag", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kind: !kind Deployment")),
    ("document-incomplete", lambda f: swapped(f, DELAY, b"kind: Deployment", b"kinds: Deployment")),
    ("kustomize-path", lambda f: f.pop("base/delay/service-delay.yaml")),
    ("kustomize-file-unused", lambda f: swapped(f, "base/delay/kustomization.yaml", b"- service-delay.yaml\n", b"")),
    ("kustomize-image-tag", lambda f: appended(f, OVERLAY, b"images: [{name: x, newTag: y}]")),
    ("file-secret", lambda f: appended(f, "README.md", b"postgresql://box:hunter2@db/box")),
    ("file-machine-path", lambda f: appended(f, "README.md", b"see /srv/secret/place/x")),
    ("parity-missing", lambda f: f.pop(TABLE)),
    ("parity-missing", lambda f: f.update({TABLE: b"[]"})),
    ("parity-gap", lambda f: rows(f, lambda row: row.update(path="", found="", why_not=""))),
    ("parity-path", lambda f: rows(f, lambda row: row.update(path="base/gone.yaml#/spec"))),
    ("parity-path", lambda f: rows(f, lambda row: row.update(path=f"{row['path']}/gone"))),
    ("parity-changed", lambda f: rows(f, lambda row: row.update(found="something else"))),
    ("parity-silent", lambda f: unsaid(f, "retry times")),
    ("parity-silent", lambda f: unsaid(f, "schedule")),
]  # fmt: skip


@pytest.fixture(scope="module")
def small(folder: Folder) -> Folder:
    """An endpoint and the code of an export, which is enough for what is wrong with a file."""
    kept = ("base/delay/", OVERLAY, "README.md", "code/")
    found = {path: content for path, content in folder.files.items() if path.startswith(kept)}
    rows = [row for row in json.loads(folder.files[TABLE])["rows"] if row["path"]]
    # What is in manifests that are left out is said to be nowhere.
    for row in rows:
        if row["path"].partition("#")[0] not in found:
            row |= {"path": "", "why_not": "left out"}
    found[TABLE] = json.dumps({"rows": rows}).encode()
    lock = {**folder.lock, "files": {path: hashlib.sha256(text).hexdigest() for path, text in found.items()}}
    return Folder(found | {LOCK: json.dumps(lock).encode()}, lock)


@pytest.fixture(scope="module")
def sound(small: Folder) -> set[Fault]:
    """What is wrong with it because it is not all there."""
    return faults(small)


def swapped(found: Files, path: str, old: bytes, new: bytes, locked: bool = True) -> None:
    assert old in found[path]
    found[path] = found[path].replace(old, new, 1)
    if locked:
        lock = json.loads(found[LOCK])
        lock["files"][path] = hashlib.sha256(found[path]).hexdigest()
        found[LOCK] = json.dumps(lock).encode()


def appended(found: Files, path: str, line: bytes) -> None:
    swapped(found, path, found[path], found[path] + line + b"\n")


def rows(found: Files, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the first row that says where something is in a manifest."""
    content = json.loads(found[TABLE])
    change(next(row for row in content["rows"] if "#" in row["path"]))
    found[TABLE] = json.dumps(content).encode()


def unsaid(found: Files, what: str) -> None:
    content = json.loads(found[TABLE])
    content["rows"] = [row for row in content["rows"] if row["what"] != what]
    found[TABLE] = json.dumps(content).encode()


def faults(folder: Folder) -> set[Fault]:
    wrong = [*folder.faults(), *table.read(folder)[1], *files.faults(folder, ["/srv/secret/place"])]
    return {*wrong, *kustomized.faults(folder, Path())}


@pytest.mark.parametrize(("rule", "change"), FILES, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(FILES)])
def test_a_fault_in_the_files_is_found_under_its_name(small: Folder, sound: set[Fault], rule: str, change: Any) -> None:
    found = dict(small.files)
    change(found)
    assert rule in {fault.rule for fault in faults(Folder(found, json.loads(found[LOCK]))) - sound}


def box(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and output of `box export …`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command(["export", *words])
    return int(str(ended.value.code or 0)), *capsys.readouterr()


def test_a_whole_export_has_no_fault_and_every_declaration_a_place_or_a_reason(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no box: a check reads the folder only."""
    monkeypatch.chdir(tmp_path)
    code, out, err = box(capsys, "--check", str(written), "--json")
    report = json.loads(out)
    assert report["faults"] == [] and code == 0, err
    assert report["versions"] == ["1.34", "1.35", "1.36", "1.37"] and report["overlays"] == ["prod"]
    assert report["documents"] > 60 and len(report["parity"]) > 60
    assert not [row for row in report["parity"] if not row["path"] and not row["why_not"]]
    told = {(row["of"], row["what"]) for row in report["parity"]}
    assert {("WideFlow/work", "retry times"), ("WideFlow/left", "time-out"), ("GangFlow", "trigger")} <= told
    assert {("WideFlow/left", "variable MODE"), ("delay", "variable N"), ("LinearFlow", "parameter n")} <= told


def test_a_faulty_export_ends_with_ten_and_says_what_changed(
    small: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        for path, content in small.files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
    (tmp_path / "new" / DELAY).write_text("kind: [")
    code, out, err = box(capsys, "kubernetes", "--check", "new", "--diff", "old", "--without-schemas")
    assert code == ExitCode.CHECK_FAILED
    assert "yaml-invalid" in out and "lock-file-changed" in out and "fix:" in err
    assert "Deployment/delay" in out


@pytest.mark.skipif(which("kubectl") is None, reason="kustomize comes with kubectl")
def test_what_kubectl_renders_otherwise_is_found(written: Path, tmp_path: Path) -> None:
    copytree(written, tmp_path / "out")
    file = tmp_path / "out" / DELAY
    file.write_text(file.read_text().replace("maxSurge: 1", "maxSurge: 2"))
    found = {fault.rule for fault in kustomized.faults(read(tmp_path / "out"), tmp_path / "out")}
    assert found == {"kustomize-rendered"}


def test_without_the_schemas_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hera", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "hera" else object())
    with pytest.raises(BoxError, match="schemas") as caught:
        schemas.must_be_there()
    assert caught.value.code == ExitCode.PRECONDITION and "hera" in caught.value.why


@pytest.mark.parametrize(
    ("lock", "code"), [(None, ExitCode.NOT_FOUND), ("{", ExitCode.PRECONDITION), ("[]", ExitCode.PRECONDITION)]
)
def test_what_is_no_export_is_refused(tmp_path: Path, lock: str | None, code: ExitCode) -> None:
    if lock is not None:
        (tmp_path / LOCK).write_text(lock)
    with pytest.raises(BoxError) as caught:
        check(tmp_path, with_schemas=False)
    assert caught.value.code == code


def test_a_difference_names_the_field_and_not_its_place_in_a_list(written: Path, tmp_path: Path) -> None:
    copytree(written, tmp_path / "out")
    file = tmp_path / "out" / "rendered" / "prod.yaml"
    text = file.read_text()
    before = text.index("kind: Deployment\nmetadata:\n  name: delay\n")
    text = text[:before] + text[before:].replace(
        '- name: "N"\n          value: "n"\n', '- name: "N"\n          value: m\n', 1
    )
    file.write_text(text.replace("kind: LimitRange", "kind: LimitRanges"))
    found = {(one.of, one.where, one.before, one.after) for one in difference(written, tmp_path / "out")}
    env = "/spec/template/spec/containers/delay/env/N/value"
    assert found == {
        ("Deployment/delay", env, "n", "m"),
        ("LimitRange/defaults", "", "there", ""),
        ("LimitRanges/defaults", "", "", "there"),
    }
    assert difference(written, written) == ()


def test_the_page_about_checks_has_every_rule() -> None:
    told = {name.strip("`"): what for name, what in table_rows(ROOT / "docs" / "export-check.md", "Rules")}
    assert told == {name: re.sub(r"\s+", " ", what) for name, what in sorted(ABOUT.items())}
