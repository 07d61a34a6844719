"""Which files are flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxplat.core.errors import BoxError
from boxplat.export.sources import flow_files

FLOWS = Path(__file__).parent / "flows"


def test_only_files_that_define_and_start_a_flow_are_flows() -> None:
    assert [file.name for file in flow_files(FLOWS)] == ["gang.py", "linear.py", "wide.py"]


def test_a_flow_file_that_does_not_parse_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("a = 1\ndef (:\n")
    with pytest.raises(BoxError, match=r"broken\.py") as caught:
        flow_files(tmp_path)
    assert "line 2" in caught.value.why


def test_a_qualified_base_class_counts(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import metaflow\nclass A(metaflow.FlowSpec): pass\nif __name__ == '__main__': A()\n"
    )
    (tmp_path / "b.py").write_text("from metaflow import FlowSpec\nclass B(FlowSpec): pass\n")
    assert [file.name for file in flow_files(tmp_path)] == ["a.py"]


def test_no_flows_folder_is_no_flows(tmp_path: Path) -> None:
    assert flow_files(tmp_path / "flows") == []
