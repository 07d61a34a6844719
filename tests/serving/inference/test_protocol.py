"""The gRPC messages are the standard's, and the generated module is that of the .proto."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from boxplat.serving.inference import inference_pb2

ROOT = Path(__file__).parents[3]


def _described(message: Any) -> dict[str, Any]:
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.containing_oneof.name if field.containing_oneof else None,
            (field.message_type or field.enum_type).full_name if field.message_type or field.enum_type else None,
        )
        for field in message.fields
    }


def _messages(messages: Any) -> dict[str, Any]:
    found = {}
    for message in messages:
        found[message.full_name] = _described(message)
        found |= _messages(message.nested_types)
    return found


def test_every_field_is_tritons() -> None:
    theirs: dict[str, Any] = {}
    for file in (service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR):
        theirs |= _messages(file.message_types_by_name.values())
    ours = _messages(inference_pb2.DESCRIPTOR.message_types_by_name.values())
    for name, fields in ours.items():
        assert fields.items() <= theirs[name].items(), name
    # Of the configuration and the statistics only a part.
    names = "ModelConfig ModelInput ModelOutput ModelStatistics InferStatistics"
    parts = {f"inference.{name}" for name in names.split()}
    assert {name for name, fields in ours.items() if fields != theirs[name]} == parts
    kinds = inference_pb2.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name
    wanted = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name
    assert {name: one.number for name, one in kinds.items()} == {name: one.number for name, one in wanted.items()}


def test_every_method_is_tritons() -> None:
    ours, theirs = (
        {one.name: (one.input_type.full_name, one.output_type.full_name) for one in file.services_by_name[name].methods}
        for file, name in (
            (inference_pb2.DESCRIPTOR, "GRPCInferenceService"),
            (service_pb2.DESCRIPTOR, "GRPCInferenceService"),
        )
    )
    assert ours.items() <= theirs.items()


def test_the_generated_module_is_up_to_date(tmp_path: Path) -> None:
    path = ROOT / "scripts" / "inference_messages"
    loader = importlib.machinery.SourceFileLoader("inference_messages", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(script)
    finally:
        sys.dont_write_bytecode = before
    script.generate(tmp_path)
    for made in tmp_path.iterdir():
        assert made.read_text() == (path.parents[1] / "boxplat" / "serving" / "inference" / made.name).read_text()
