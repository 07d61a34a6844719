"""Saved datasets: a retrieval's result kept where Feast's registry says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.features.offline.delta import is_delta, replace_rows
from boxplat.features.offline.files import MERGED_PREFIX
from boxplat.features.offline.merge import absorb
from boxplat.features.offline.source import path_of

if TYPE_CHECKING:
    from boxplat.features.offline.job import BoxRetrievalJob


def save(job: BoxRetrievalJob, storage: Any, root: Path | None, allow_overwrite: bool) -> None:
    """Write a job's result: to one file for a path that ends in .parquet, else into a folder; or as a Delta table.

    Raises:
        SavedDatasetLocationAlreadyExists: there is something already, and `allow_overwrite` is false.
    """
    from feast.errors import SavedDatasetLocationAlreadyExists

    source = storage.to_data_source()
    path = Path(path_of(source, root))
    if path.exists() and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=source.path)
    if is_delta(source):
        replace_rows(str(path), job.to_arrow_reader())
    elif path.suffix == ".parquet":
        absorb(job.to_arrow_reader(), path)
    else:
        absorb(job.to_arrow_reader(), path / f"{MERGED_PREFIX}{os.urandom(8).hex()}.parquet")
