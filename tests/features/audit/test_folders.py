"""Where reports of audits lie."""

from __future__ import annotations

from pathlib import Path

from boxplat.core.paths import Paths
from boxplat.features.audit import folders
from boxplat.features.audit.report import Report


def test_two_audits_of_one_table_in_the_same_second_both_keep_their_reports(project: Path) -> None:
    reports = [Report("out/table.parquet", build, seed=1) for build in ("first", "second")]
    for report in reports:
        folders.keep(Paths(project), report)
    assert [Path(report.file).read_text() for report in reports] == [f"{report}\n" for report in reports]
