"""Texts reach every reader as the text that they are."""

from __future__ import annotations

import json
import subprocess
from shutil import which

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.export import document

TRAPS = [
    "n", "N", "y", "on", "off", "Yes", "no", "true", "null", "~", "", " ", "1e3", "0o17", "017", "0x1F", "1_000",
    "12:30", "12:30:45", "2026-01-01", "2026-01-01T00:00:00Z", ".inf", "-.INF", ".nan", "NaN", "=", "<<", "- a",
    "a: b", "# c", "a #b", "{{x}}", "[1]", "'q'", '"q"', "*", "&a", "!t", "|", ">", "%", "@", "`", "?", "a\n", "\na",
    "a\n\nb\n", "a\n  b\n", " a\nb", "a \nb", "a\tb\nc", "é", "😀", "\u2028", "\x85", "\ufeff", "\x00", "a\r\nb",
    "+1", "-0", "1.", "0b1",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(TRAPS), st.text(max_size=40), st.from_regex(r"[0-9eExXoOb_.:+-]{1,8}", fullmatch=True)
)
values = st.recursive(
    st.one_of(texts, st.booleans(), st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(texts, values, max_size=4))
def test_a_yaml_1_1_reader_gets_the_same_values(content: dict[str, object]) -> None:
    assert yaml.safe_load(document.dump(content)) == content


@settings(deadline=None)
@given(texts)
def test_only_harmless_texts_stand_bare(text: str) -> None:
    """The rule, independent of any one reader: a bare scalar is made of letters and few signs, and is no known word."""
    written = document.dump({"k": text}).removeprefix("k: ").rstrip("\n")
    if not written.startswith(('"', "|")):
        assert written == text and text[0].isascii() and text[0].isalpha()
        assert text.lower() not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


def test_the_same_list_twice_makes_no_anchor() -> None:
    shared = ["a"]
    assert "&" not in document.dump({"x": shared, "y": shared})


def test_a_text_of_several_lines_stays_readable() -> None:
    assert document.dump({"k": "first\n  second\n"}) == "k: |\n  first\n    second\n"


@pytest.mark.skipif(which("kubectl") is None, reason="Go's reader comes with kubectl")
def test_go_reads_what_was_written() -> None:
    printable = [text for text in TRAPS if text.isprintable() or text.strip().isascii()]
    texts = {f"k{index}": text for index, text in enumerate(printable) if "\x00" not in text and "\x85" not in text}
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "traps"}, "data": texts}
    command = ["kubectl", "patch", "--local", "--type=merge", "-p", "{}", "-o", "json", "-f", "-"]
    child = subprocess.run(command, input=document.dump(content), capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout)["data"] == texts
