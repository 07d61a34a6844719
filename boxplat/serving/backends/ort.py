"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from boxplat.serving.backends.runner import Array, Spec

_TYPES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}
_TYPES |= {name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}


class OnnxRuntime:
    """One ONNX file.

    Args:
        threads: intra-op threads of this session.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Waiting threads would burn the cores that other workers need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(_spec(one) for one in self._session.get_inputs())
        self._names = [one.name for one in self.inputs]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        answers: list[Array] = self._session.run(None, dict(zip(self._names, arrays, strict=True)))
        return answers


def _spec(one: Any) -> Spec:
    kind = one.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in one.shape)
    return Spec(one.name, np.dtype(_TYPES[kind]), shape)
