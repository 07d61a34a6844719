"""Strict reading of YAML: what two readers take for different things is found, what all take alike is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.export import document
from boxplat.export.check import yamltext
from boxplat.export.check.quantities import amount

ODD = [
    "n", "Y", "on", "Off", "yes", "NO", "~", "1e3", "1E-3", "0o17", "017", "0b11", "1_000", "1:30", "190:20:30",
    "2026-01-01", "2026-01-01T10:00:00Z", ".inf", "-.INF", ".nan", "=", "True", "NULL", ".5e3",
]  # fmt: skip
PLAIN = ["true", "null", "0", "-12", "1.5", "1.5e+3", "a", "1Gi", "10.0.0.1", "v1", "500m", "0x1F", "box/delay"]


@pytest.mark.parametrize("word", ODD)
def test_a_word_that_readers_take_differently_is_found(word: str) -> None:
    for text in (f"a: {word}\n", f"- {word}\n", f"{word}: a\n"):
        (_, wrong) = yamltext.read(text)
        assert [rule for rule, _, _ in wrong] == ["yaml-ambiguous"], text
    assert yamltext.read(f"a: '{word}'\n")[1] == []


@pytest.mark.parametrize("word", PLAIN)
def test_a_word_that_all_take_alike_is_not(word: str) -> None:
    assert yamltext.read(f"a: {word}\n")[1] == []


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_what_an_export_writes_is_never_ambiguous_and_reads_the_same(value: object) -> None:
    (read,), wrong = yamltext.read(document.dump({"value": value}))
    assert wrong == [] and read == {"value": value}


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "a: *b", "a: 'b"])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(yamltext.Unreadable):
        yamltext.read(text)


def test_a_tag_makes_nothing() -> None:
    (read,), wrong = yamltext.read("a: !!python/object/apply:os.getcwd []\n")
    assert read == {"a": []} and [rule for rule, _, _ in wrong] == ["yaml-tag"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("100m", "0.1"), ("1Gi", 2**30), ("1G", 10**9), ("1e3", 1000), ("1.5Ki", 1536), (".5", "0.5"), (2, 2)],
)
def test_quantities(text: object, number: object) -> None:
    assert str(amount(text).normalize()) == str(type(amount(text))(str(number)).normalize())  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "1 Gi", "1gi", "Gi", "1Kib", "0x10", "1e", True, None, [], "1.2.3", "٣"])
def test_what_is_no_quantity(text: object) -> None:
    assert amount(text) is None
