"""A model's configuration, as far as Triton's clients ask for it."""

from __future__ import annotations

from typing import Any

from boxplat.serving.inference.model import PLATFORM, Model
from boxplat.serving.inference.tensors import BYTES


def configuration(name: str, model: Model) -> dict[str, Any]:
    """The model's tensors in Triton's words. The first dimension is never left out: `max_batch_size` is 0."""
    metadata = model.metadata(name, "")
    optional = [{"optional": True} if field.optional else {} for field in model.taken.fields]
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": 0,
        "input": [_tensor(one) | more for one, more in zip(metadata["inputs"], optional, strict=True)],
        "output": [_tensor(one) for one in metadata["outputs"]],
        "model_transaction_policy": {"decoupled": model.is_stream},
    }


def _tensor(one: dict[str, Any]) -> dict[str, Any]:
    datatype = "STRING" if one["datatype"] == BYTES else one["datatype"]
    return {"name": one["name"], "data_type": f"TYPE_{datatype}", "dims": one["shape"]}
