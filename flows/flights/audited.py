"""The training table built again from other data: what `box features audit` runs on data that end at a flight's T."""

from __future__ import annotations

from pathlib import Path

# At the top, so that Feast is loaded once and not for every moment that is audited.
import feast  # noqa: F401
import pyarrow as pa

from flights import feature_rows, repository, training_set
from flights.paths import feature_folder
from flights.views import SERVED

REPO = Path("feature_repo")


def training_rows(raw_folder: Path, rows: pa.Table) -> pa.Table:
    """The rows of the training table for the flights in `rows` (column `id`), from the data in `raw_folder` alone."""
    feature_rows.write(raw_folder, feature_folder(), SERVED)
    wanted = training_set.targets(raw_folder)
    wanted = wanted[wanted["id"].isin(rows.column("id").to_pylist())]
    return training_set.join(repository.applied(REPO), wanted)
