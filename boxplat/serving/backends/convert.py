"""ONNX files of an exported program: `python -m boxplat.serving.backends.convert FOLDER`.

A process of its own, because making them takes more memory than calibration or serving ever does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from boxplat.serving.backends import eager
from boxplat.serving.backends.source import CONVERTED, Source


def convert(folder: Path) -> dict[str, str]:
    """Write the float32 and the int8 ONNX file of the model in a folder; why, for each that cannot be made."""
    source = Source(folder)
    plain, small = (folder / CONVERTED[name] for name in ("onnxruntime", "onnxruntime-int8"))
    plain.parent.mkdir(exist_ok=True)
    missing = {}
    origin = source.onnx or plain
    steps: dict[str, Callable[[], None]] = {
        "onnxruntime": lambda: _export(source, plain),
        "onnxruntime-int8": lambda: _int8(origin, small),
    }
    for name, make in steps.items():
        try:
            make()
        except Exception as error:
            # Whatever an exporter cannot do costs its own back end only.
            missing[name] = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
    return missing


def _export(source: Source, target: Path) -> None:
    if source.program is None:
        return
    program = torch.onnx.export(eager.exported(source), dynamo=True, verbose=False)
    assert program is not None
    program.save(target)
    onnx.checker.check_model(str(target))


def _int8(origin: Path, target: Path) -> None:
    """Weights of matrix products to 8 bits, one scale for each column; activations at run time."""
    model = onnx.load(origin)
    # The exporter notes shapes of weights that the quantizer transposes, and then stumbles over.
    del model.graph.value_info[:]
    quantize_dynamic(model, target, weight_type=QuantType.QInt8, per_channel=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(sys.stderr):
        failures = convert(Path(sys.argv[1]))
    print(json.dumps(failures))
