"""The page on Python runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from boxplat import Box, groups, groups_export, groups_models
from tests.docs.documents import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.integration
def test_the_examples_run(live_box: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(live_box)
    # The page speaks of the sample's first flow; the box of the tests has a smaller one.
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)).replace("flows/ingest.py", "flows/adds.py")
    exec(compile(code, "docs/python.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "succeeded AddsFlow/" in printed and "tracking running http://127.0.0.1:" in printed
    assert "no-such-flow" in printed and "9" in printed.split()[-1]


def test_every_method_named_exists() -> None:
    for path in set(re.findall(r"\bbox\.([a-z_.]+)\(", PAGE)):
        place: object = Box
        *named, verb = path.split(".")
        for group in named:
            place = (vars(groups) | vars(groups_export) | vars(groups_models))[group.capitalize()]
        assert hasattr(place, verb), path
