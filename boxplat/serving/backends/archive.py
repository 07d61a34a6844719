"""Exported programs (`torch.export.save`) read without executing anything that they hold.

`torch.export.load` unpickles example inputs and constants, evaluates the texts of symbolic sizes, compiles guards from
source, and takes any attribute below `torch` for an operator. So an archive is first reduced to what a model needs: raw
tensors and a graph of known operators. Whatever else it holds is left out, or refused where the model needs it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError
from boxplat.serving.backends.graphs import objection, strip

_TEXT = re.compile(r"[^/]+/(?:\.data/)?(?:archive_format|archive_version|byteorder|version|serialization_id)")
_RAW = re.compile(r"[^/]+/data/(?:weights|constants)/(?:weight|tensor)_\d+")
_CONFIG = re.compile(r"[^/]+/data/(?:weights|constants)/[^/]+_config\.json")
_PROGRAM = re.compile(r"[^/]+/models/[^/]+\.json")
_EXAMPLES = re.compile(r"[^/]+/data/sample_inputs/[^/]+\.pt")
_PAYLOAD = re.compile(r"(?:weight|tensor)_\d+")
"""What torch reads as raw numbers; others of its names it unpickles, whatever the flag beside them says."""


def read(path: Path) -> io.BytesIO:
    """The archive reduced to raw tensors and checked graphs, for `torch.export.load`.

    Raises:
        BoxError: it holds a pickle that the model needs, or a graph that could run other things than tensor operators.
    """
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
            for info in source.infolist():
                content = _record(path, info.filename, source)
                if content is not None:
                    target.writestr(info.filename, content)
    except zipfile.BadZipFile as error:
        raise refused(path, f"it is no archive of torch.export.save: {error}") from error
    out.seek(0)
    return out


def refused(path: Path, why: str) -> BoxError:
    """The error for a model file that is not loaded."""
    return BoxError(
        f"the model file {path.name} is not loaded",
        why=why,
        fix="save the model without pickle: mlflow.pytorch.log_model(model, serialization_format='pt2', "
        "input_example=…), or as ONNX, or as safetensors with the class named (see docs/backends.md)",
        log=path,
    )


def _record(path: Path, name: str, archive: zipfile.ZipFile) -> bytes | None:
    """What is kept of a record; None where nothing."""
    if _EXAMPLES.fullmatch(name):
        return b""
    if _CONFIG.fullmatch(name):
        return _config(path, name, archive.read(name))
    if _PROGRAM.fullmatch(name):
        return _program(path, archive.read(name))
    if _RAW.fullmatch(name) or _TEXT.fullmatch(name):
        return archive.read(name)
    if name.endswith((".pt", ".pkl", ".so")) or "/data/" in name:
        raise refused(path, f"its record {name} is read by unpickling it or by running its machine code")
    return None


def _config(path: Path, name: str, content: bytes) -> bytes:
    config = _parsed(path, content)
    entries = config.get("config")
    if not isinstance(entries, dict):
        raise refused(path, f"{name} lists no tensors")
    pickled = [key for key, entry in entries.items() if not _is_raw(entry)]
    if pickled:
        raise refused(path, f"{name} has {', '.join(pickled[:3])} read by unpickling")
    return json.dumps(config).encode()


def _is_raw(entry: Any) -> bool:
    plain = isinstance(entry, dict) and entry.get("use_pickle") is False
    return plain and _PAYLOAD.fullmatch(str(entry.get("path_name"))) is not None


def _program(path: Path, content: bytes) -> bytes:
    program = _parsed(path, content)
    strip(program)
    why = objection(program)
    if why:
        raise refused(path, why)
    return json.dumps(program).encode()


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise refused(path, f"a record is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise refused(path, "a record is not a JSON object")
    return found
