"""From a model's files to a warm callable on the back end that calibration chose, or on eager torch."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.serving.backends.choice import Choice, machine
from boxplat.serving.backends.model import Model
from boxplat.serving.backends.runner import Array, Runner, UnusableError
from boxplat.serving.backends.source import CONVERTED, PROBE, Source, opened

if TYPE_CHECKING:
    from boxplat.serving.backends.eager import Architecture

OVERRIDE = "BOXPLAT_BACKEND"
CPU = ("eager", "onnxruntime", "onnxruntime-int8", "compile")
CUDA = ("cuda", "cuda-graphs", "cuda-bfloat16", "cuda-float16")
REDUCED = ("onnxruntime-int8", "cuda-bfloat16", "cuda-float16")
"""Those that compute in fewer bits than the model has."""
BATCHES = (1, 8, 32)

_log = logging.getLogger(__name__)


def load(
    source: Source | str | Path,
    *,
    threads: int | None = None,
    batches: tuple[int, ...] | None = None,
    backend: str | None = None,
    architecture: Architecture | None = None,
) -> Model:
    """A registered model as one warm callable.

    It runs on what `box models calibrate` chose for this version, else on eager torch. A chosen back end that cannot
    run here, or that answers otherwise here than where it was calibrated, is replaced by eager torch, and the reason
    is logged. `BOXPLAT_BACKEND` overrides the choice.

    Args:
        source: a model folder, an MLflow URI, or what `opened` gives.
        threads: intra-op threads; as it was calibrated where not given, else 1.
        batches: sizes to warm up with; those that it was calibrated at where not given.
        backend: this one and no other.
        architecture: the class of safetensors weights, as `module:Class` or itself; it is called without arguments.

    Raises:
        BoxError: there is no such model, it would have to be unpickled, or the `backend` asked for cannot be used.
    """
    if not isinstance(source, Source):
        with opened(source) as found:
            return load(found, threads=threads, batches=batches, backend=backend, architecture=architecture)
    source.check()
    basis, choice = reference(source), source.choice
    asked = backend or os.environ.get(OVERRIDE)
    wanted = asked or (choice.backend if choice else basis)
    threads = threads or (choice.threads if choice else 1)
    sizes = batches or (choice.batches if choice else BATCHES)
    make = partial(_warm, source, threads, sizes, architecture)
    if wanted == basis:
        return make(basis)
    try:
        return make(wanted) if asked or choice is None else _as_calibrated(source, choice, make)
    except Exception as error:
        # Whatever keeps a back end from working must not keep the service from answering.
        reason = f"{type(error).__name__}: {error}"
        if asked:
            raise _unusable(asked, reason) from error
        _log.warning("version %s runs on %s, not on %s as chosen: %s", source.version, basis, wanted, reason)
        return make(basis, reason)


def reference(source: Source) -> str:
    """The back end that the others must agree with: torch, or ONNX Runtime for a model that is ONNX itself."""
    return "onnxruntime" if source.program is None and source.onnx is not None else "eager"


def runner(
    source: Source, name: str, threads: int, sizes: tuple[int, ...], architecture: Architecture | None = None
) -> Runner:
    """A model on one back end, not yet warm.

    Args:
        sizes: rows of the batches that it will see.

    Raises:
        BoxError: there is no such back end.
        UnusableError: it has not what it runs from, or no such device.
    """
    if name in CONVERTED:
        from boxplat.serving.backends.ort import OnnxRuntime

        return OnnxRuntime(_onnx(source, name), threads)
    if name in ("eager", "compile"):
        from boxplat.serving.backends import eager

        return eager.make(source, threads, architecture, compiled=name == "compile")
    if name in CUDA:
        from boxplat.serving.backends import cuda

        return cuda.make(source, name, architecture, max(sizes))
    known = (*CPU, *CUDA)
    raise BoxError(
        f"no back end {name!r}{nearest(name, known)}",
        why=f"known: {', '.join(known)}",
        fix=f"correct it, or unset {OVERRIDE}",
        code=ExitCode.USAGE,
    )


def probe(source: Source) -> tuple[list[Array], list[Array]] | None:
    """Rows and eager's answers to them, recorded at calibration; None where there are none that can be read."""
    import numpy as np

    try:
        with np.load(source.folder / PROBE, allow_pickle=False) as found:
            kept = {side: [found[name] for name in found.files if name.startswith(side)] for side in ("in", "out")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        _log.warning("%s cannot be read: %s: %s", source.folder / PROBE, type(error).__name__, error)
        return None
    return kept["in"], kept["out"]


def _onnx(source: Source, name: str) -> Path:
    path = source.folder / CONVERTED[name]
    if name == "onnxruntime" and source.program is None and source.onnx is not None:
        path = source.onnx
    if not path.is_file():
        raise UnusableError(f"the version has no {path.name} (box models calibrate makes it)")
    return path


def _as_calibrated(source: Source, choice: Choice, make: Callable[[str], Model]) -> Model:
    _same_files(source, choice)
    _same_arithmetic(choice)
    model = make(choice.backend)
    recorded = probe(source)
    if recorded is not None:
        _same_answers(model, *recorded, choice.tolerance)
    return model


def _warm(
    source: Source,
    threads: int,
    sizes: tuple[int, ...],
    architecture: Architecture | None,
    name: str,
    reason: str = "",
) -> Model:
    model = Model(runner(source, name, threads, sizes, architecture), name, source.version, reason)
    recorded = probe(source)
    # torch.compile treats one row apart from many.
    model.warm(dict.fromkeys((1, 2, *sizes)), recorded[0] if recorded else ())
    return model


def _same_files(source: Source, choice: Choice) -> None:
    for name, digest in choice.files.items():
        path = source.folder / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
        if found != digest:
            raise UnusableError(f"{name} is not what was calibrated")


def _same_arithmetic(choice: Choice) -> None:
    """Rounding to few bits depends on the instructions, and so does the quality that was measured."""
    here = machine()
    if choice.backend == "onnxruntime-int8" and here["instructions"] != choice.machine.get("instructions"):
        raise UnusableError(f"it was calibrated on {choice.machine.get('cpu')}, and this is {here['cpu']}")


def _same_answers(model: Model, inputs: list[Array], expected: list[Array], tolerance: float) -> None:
    from boxplat.serving.backends.compare import difference

    answers = model(*inputs)
    found = difference(answers if isinstance(answers, tuple) else (answers,), expected)
    if not found <= tolerance:
        raise UnusableError(f"its answers differ by {found:.2g} of their scale here, {tolerance:.2g} is allowed")


def _unusable(name: str, reason: str) -> BoxError:
    return BoxError(
        f"the model does not run on the back end {name}",
        why=reason,
        fix=f"leave the choice to calibration (unset {OVERRIDE}), or take eager",
    )
