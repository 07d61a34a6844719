"""Where a model comes from: a folder, or an MLflow URI, with what calibration chose for that version."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.serving.backends.archive import refused
from boxplat.serving.backends.choice import EVIDENCE, Choice

FOLDER = "backends"
"""Where calibration puts what it made, below the model's own folder."""
PROBE = f"{FOLDER}/probe.npz"
CHOICE = f"{FOLDER}/choice.json"
CONVERTED = {"onnxruntime": f"{FOLDER}/model.onnx", "onnxruntime-int8": f"{FOLDER}/model-int8.onnx"}
"""ONNX files that calibration makes of exported programs."""
_PICKLES = (".pth", ".pt", ".pkl", ".pickle", ".joblib", ".bin", ".ckpt")


@dataclass(frozen=True)
class Source:
    """A model's files; `version` is its number in the registry ("unregistered" where it has none)."""

    folder: Path
    version: str = "unregistered"
    choice: Choice | None = None

    @property
    def program(self) -> Path | None:
        """The program of `torch.export.save`, where the model is one."""
        return self._first("data/model.pt2", "model.pt2")

    @property
    def onnx(self) -> Path | None:
        """The ONNX file, where the model itself is one."""
        return self._first("model.onnx", "data/model.onnx")

    @property
    def weights(self) -> Path | None:
        """The safetensors file, where the model is one; the service says which class they belong to."""
        found = sorted(self.folder.glob("*.safetensors")) + sorted(self.folder.glob("data/*.safetensors"))
        return found[0] if found else None

    def made_for(self, backend: str) -> list[str]:
        """What calibration made for a back end, relative to the folder: its ONNX file, and weights kept beside it."""
        name = CONVERTED.get(backend, "")
        return [found for found in (name, f"{name}.data") if name and (self.folder / found).is_file()]

    def _first(self, *names: str) -> Path | None:
        return next((path for name in names if (path := self.folder / name).is_file()), None)

    def check(self) -> None:
        """Whether there is something here that can be loaded without unpickling.

        Raises:
            BoxError: there is not.
        """
        if self.program or self.onnx or self.weights:
            return
        pickles = [path for path in sorted(self.folder.rglob("*")) if path.suffix in _PICKLES]
        if pickles:
            raise refused(pickles[0], "it is a pickle: reading it runs whatever code it holds")
        raise BoxError(
            f"no model in {self.folder}",
            why="there is no model.pt2, model.onnx or *.safetensors in it or in its folder `data`",
            fix="give the model's own folder or URI, models:/NAME@ALIAS say   (box models list)",
            code=ExitCode.NOT_FOUND,
        )


@contextlib.contextmanager
def opened(uri: str | Path) -> Iterator[Source]:
    """The files of a model folder or of an MLflow URI, for as long as the block lasts.

    Args:
        uri: a folder, or `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/RUN/PATH` … on MLFLOW_TRACKING_URI.

    Raises:
        BoxError: there is no such model, or the tracking server does not answer.
    """
    if os.path.isdir(uri):
        yield in_folder(Path(uri))
        return
    from boxplat.adapters import tracking_models

    with tempfile.TemporaryDirectory(prefix="boxplat-model-") as folder:
        found = tracking_models.fetch(str(uri), Path(folder))
        yield Source(found.folder, found.version or "unregistered", Choice.parse(found.tags.get(EVIDENCE)))


def in_folder(folder: Path) -> Source:
    """A model folder, with the choice that was made of it where it carries one."""
    try:
        text = (folder / CHOICE).read_text(encoding="utf-8")
    except OSError:
        text = None
    return Source(folder, _version(folder), Choice.parse(text))


def _version(folder: Path) -> str:
    """What MLflow's own download notes beside the files (YAML of two plain lines)."""
    try:
        lines = (folder / "registered_model_meta").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unregistered"
    pairs = dict(line.split(": ", 1) for line in lines if ": " in line)
    return pairs.get("model_version", "unregistered").strip("'\"")
