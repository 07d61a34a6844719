"""What a record of the spool says of data that its run read or wrote."""

from __future__ import annotations

from boxplat.core.model import Dataset
from boxplat.runs.spool import Record

NOTED = "noted"


def told(record: Record) -> list[Dataset]:
    """The datasets of one record: one that boxplat saw, or those that the flow itself notes in `data_digests`."""
    if record["kind"] == "data":
        numbers = (record.get(name) for name in ("files", "bytes"))
        files, size = (number if isinstance(number, int) else 0 for number in numbers)
        path, step, note = (str(record.get(name, "")) for name in ("path", "step", "note"))
        return [Dataset(record["way"], record["name"], record["digest"], path, files, size, step, record["at"], note)]
    if record["kind"] == "end" and record["digests"]:
        return [
            Dataset(NOTED, str(name), str(digest), step=record["step"], at=record["at"])
            for name, digest in record["digests"].items()
        ]
    return []
