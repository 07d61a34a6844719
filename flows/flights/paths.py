"""Where the sample keeps its data, and digests of what lies there."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def data_folder() -> Path:
    """Folder for data: `BOXPLAT_DATA`, or `.box/data` below the working directory (made private if new)."""
    folder = Path(os.environ.get("BOXPLAT_DATA") or ".box/data").resolve()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def project_folder() -> Path:
    """The project: `BOXPLAT_PROJECT`, or the working directory. On a cluster a step works in a folder of its own."""
    return Path(os.environ.get("BOXPLAT_PROJECT") or ".")


def raw_folder() -> Path:
    """Checked Parquet files written by `flows/ingest.py`."""
    return data_folder() / "raw"


def feature_folder() -> Path:
    """One Parquet file per feature view, written by `flows/features.py`."""
    return data_folder() / "features"


def training_folder() -> Path:
    """The training table, written by `flows/features.py`."""
    return data_folder() / "training"


def sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(*texts: str) -> str:
    """First 16 hexadecimal digits of the SHA-256 of several texts, sensitive to their borders."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def digests(folder: Path) -> dict[str, str]:
    """Short digests (16 digits) of the Parquet files in a folder, by their path relative to the data folder."""
    root = data_folder()
    return {str(path.relative_to(root)): sha256(path)[:16] for path in sorted(folder.glob("*.parquet"))}


def training_table() -> Path:
    """Every flight with its features as known an hour before departure.

    Raises:
        FileNotFoundError: `flows/features.py` has not written it yet.
    """
    path = training_folder() / "training.parquet"
    if not path.exists():
        raise FileNotFoundError(f"{path}: run flows/ingest.py and flows/features.py first")
    return path


def shown(path: Path) -> str:
    """A path as the project knows it: relative to the working directory where it lies below that."""
    return _below(Path.cwd(), path)


def _below(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def training_digest(path: Path | None = None) -> dict[str, str]:
    """The digest of the training table (or of another one) alone, in the form of `digests`."""
    path = path or training_table()
    return {_below(data_folder(), path): sha256(path)[:16]}


def read_manifest(folder: Path) -> dict[str, Any]:
    """What an earlier run left in `manifest.json`; empty when there is none."""
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace `manifest.json` in one step, so that a killed run never leaves half of one."""
    part = folder / "manifest.json.part"
    part.write_text(json.dumps(manifest, indent=1, sort_keys=True))
    part.replace(folder / "manifest.json")


def is_current(folder: Path, inputs: str) -> bool:
    """Whether the files in `folder` were made from `inputs` (a digest) and are all still there."""
    manifest = read_manifest(folder)
    files = manifest.get("files", {})
    return bool(files) and manifest.get("inputs") == inputs and all((data_folder() / name).exists() for name in files)


def quoted(path: Path) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"
