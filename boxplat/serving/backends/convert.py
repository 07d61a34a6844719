"""ONNX files of an exported program: `python -m boxplat.serving.backends.convert FOLDER`.

A process of its own, because making them takes more memory than calibration or serving ever does.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from boxplat.serving.backends import eager
from boxplat.serving.backends.loading import CONVERTED
from boxplat.serving.backends.source import Source


def convert(folder: Path) -> None:
    """Write the float32 and the int8 ONNX file of the model in a folder, where each can be made."""
    source = Source(folder)
    plain, small = (folder / CONVERTED[name] for name in ("onnxruntime", "onnxruntime-int8"))
    plain.parent.mkdir(exist_ok=True)
    origin = source.onnx
    if source.program is not None:
        _export(source, plain)
        origin = plain
    if origin is not None:
        _quantize(origin, small)


def _export(source: Source, target: Path) -> None:
    program = torch.onnx.export(eager.exported(source), dynamo=True, verbose=False)
    assert program is not None
    program.save(target)
    onnx.checker.check_model(str(target))


def _quantize(origin: Path, target: Path) -> None:
    """Weights of matrix products to 8 bits, one scale for each column; activations at run time."""
    model = onnx.load(origin)
    # The exporter notes shapes of weights that the quantizer transposes, and then stumbles over.
    del model.graph.value_info[:]
    quantize_dynamic(model, target, weight_type=QuantType.QInt8, per_channel=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    convert(Path(sys.argv[1]))
