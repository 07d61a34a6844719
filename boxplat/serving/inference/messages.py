"""Requests and answers of `ModelInfer` as protobuf messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from boxplat.serving.inference import inference_pb2 as pb
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.tensors import BYTES, DTYPES, Tensor, counted, from_bytes, from_raw, to_raw
from boxplat.serving.inference.wire import Asked, must_be_supported

# FP16 and BF16 have no field of their own and can only be sent raw.
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
FINAL = "triton_final_response"


def read(request: pb.ModelInferRequest) -> Asked:
    """A request.

    Raises:
        InferenceError: it is not what the protocol says.
    """
    raws = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        raise InferenceError(f"expected {len(request.inputs)} raw inputs for as many inputs, got {len(raws)}")
    for one in (*request.inputs, *request.outputs):
        must_be_supported(one.parameters)
    if raws:
        tensors = [_raw(one, raw) for one, raw in zip(request.inputs, raws, strict=True)]
    else:
        tensors = [_typed(one) for one in request.inputs]
    parameters = {name: _parameter(value) for name, value in request.parameters.items()}
    return Asked(tensors, [one.name for one in request.outputs], request.id, parameters)


def _parameter(value: pb.InferParameter) -> Any:
    choice = value.WhichOneof("parameter_choice")
    return getattr(value, choice) if choice else None


def _raw(one: pb.ModelInferRequest.InferInputTensor, raw: bytes) -> Tensor:
    if one.HasField("contents"):
        raise InferenceError(f"contents field must not be specified when using raw_input_contents for '{one.name}'")
    return from_raw(one.name, one.datatype, list(one.shape), raw)


def _typed(one: pb.ModelInferRequest.InferInputTensor) -> Tensor:
    place = _CONTENTS.get(one.datatype)
    if place is None:
        raise InferenceError(f"'{one.name}': {one.datatype or 'no datatype'} can only be sent in raw_input_contents")
    shape = list(one.shape)
    count = counted(one.name, shape)
    found = getattr(one.contents, place)
    if len(found) != count:
        raise InferenceError(f"'{one.name}' has {len(found)} elements in {place}; its shape {shape} needs {count}")
    if one.datatype == BYTES:
        return from_bytes(one.name, list(found), shape)
    dtype = DTYPES[one.datatype]
    try:
        return Tensor(one.name, one.datatype, np.array(list(found), dtype).reshape(shape))
    except OverflowError:
        raise InferenceError(f"a value of '{one.name}' is out of the range of {one.datatype}") from None


def answer(name: str, version: str, identity: str, tensors: Sequence[Tensor]) -> pb.ModelInferResponse:
    """An answer; its tensors are always raw, as Triton's are."""
    return pb.ModelInferResponse(
        model_name=name,
        model_version=version,
        id=identity,
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(name=one.name, datatype=one.datatype, shape=one.shape)
            for one in tensors
        ],
        raw_output_contents=[to_raw(one) for one in tensors],
    )


def part(found: pb.ModelInferResponse, final: bool) -> pb.ModelStreamInferResponse:
    """One answer of a stream, with Triton's word on whether it is the request's last."""
    found.parameters[FINAL].bool_param = final
    return pb.ModelStreamInferResponse(infer_response=found)
