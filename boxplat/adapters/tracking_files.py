"""Where the files of registered models lie, read from a tracking server's database; a server may run or not."""

from __future__ import annotations

from pathlib import Path

from boxplat.adapters.tracking_reading import reading

_SCHEME = "mlflow-artifacts:/"
_PLACE = """
select coalesce(nullif(storage_location, ''), source) from model_versions where name = ? and version = ?
"""


def model_files(mlflow: Path, model: str, version: str) -> str | None:
    """The folder of a version below the server's artifacts; None where there is no such version, or it lies elsewhere.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    with reading(mlflow, "model_versions", "the models") as db:
        found = db.execute(_PLACE, (model, version)).fetchone() if db is not None else None
    place = str(found[0]) if found else ""
    return place.removeprefix(_SCHEME).strip("/") if place.startswith(_SCHEME) else None
