"""Documents cannot drift: commands, options, exit codes, settings, checks and links are compared with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from boxplat.cli import box
from boxplat.core.config import load
from boxplat.core.errors import ExitCode
from boxplat.doctor import PROBES
from tests.docs.documents import DOCUMENTS, ROOT, Block, blocks, box_commands, leaves, name, parse, prose, table_rows

OWN = {"flows/share.py", "bentos/share", "bentos/share/service.py"}  # what the tutorial's reader writes
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("block", blocks("console", "sh"), ids=str)
def test_every_box_command_parses(block: Block) -> None:
    for words in box_commands(block.text):
        try:
            parse(box, words)
        except click.UsageError as error:
            pytest.fail(f"{block}: `box {' '.join(words)}`: {error.message}")


def test_commands_are_found_among_other_things() -> None:
    text = "$ cd x && box up --detach   # box nonsense\nbox down || kill 1\nls | box predict delay -\nboxes\n"
    assert list(box_commands(text)) == [["up", "--detach"], ["down"], ["predict", "delay", "-"]]


@pytest.mark.parametrize("words", [["sing"], ["status", "--jsno"], ["features", "eat"], ["cancel"], ["logs", "a", "b"]])
def test_a_wrong_command_would_be_noticed(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(box, words)


def test_the_command_page_lists_all_verbs_with_all_options() -> None:
    told = {}
    for verb, options, _ in table_rows(ROOT / "docs" / "cli.md", "Verbs"):
        words = [word for word in verb.strip("`").split() if word.islower()]
        told[" ".join(words)] = set(re.findall(r"--[a-z-]+", options))
    real = {
        verb: {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        for verb, command in leaves(box, "box").items()
    }
    assert told == real


def test_the_command_page_lists_all_exit_codes() -> None:
    told = [int(code) for code, _ in table_rows(ROOT / "docs" / "cli.md", "Exit codes")]
    assert told == [int(code) for code in ExitCode]


def test_every_check_of_the_doctor_is_explained_once() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (BOX-[A-Z]+-\d\d) \|", text, flags=re.MULTILINE)
    assert told == [probe.id for probe in PROBES]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(prose(document)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), f"{name(document)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        seen.add(document)
        targets = [target.partition("#")[0] for target in LINK.findall(prose(document))]
        files = {(document.parent / target).resolve() for target in targets if target.endswith(".md")}
        waiting += sorted(files - seen)
    assert set(DOCUMENTS) - seen == set()


def test_documents_that_the_code_names_exist() -> None:
    named = {
        (source, target)
        for source in sorted((ROOT / "boxplat").rglob("*.py"))
        for target in re.findall(r"docs/[\w/-]+\.md", source.read_text(encoding="utf-8"))
    }
    assert [f"{name(source)}: {target}" for source, target in sorted(named) if not (ROOT / target).is_file()] == []


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_settings_shown_are_settings(block: Block, tmp_path: Path) -> None:
    (tmp_path / "boxplat.toml").write_text(block.text, encoding="utf-8")
    load(tmp_path / "boxplat.toml", {})


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_shown_is_python(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_files_of_the_sample_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:flows|bentos|scripts|feature_repo)/[\w./-]*\w", text))
    assert sorted(path for path in named - OWN if not (ROOT / path).exists()) == []
