"""An Arrow result in the forms that people train from: pandas and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Integers up to this size are exact in a float64.
_EXACT = 2**53


def frame(table: pa.Table) -> pd.DataFrame:
    """The table in pandas; integers that a float64 would round come in pandas' nullable integer types."""
    import pandas as pd
    import pyarrow as pa

    nullable = {
        pa.int64(): pd.Int64Dtype(),
        pa.uint64(): pd.UInt64Dtype(),
    }
    found: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if field.type in nullable and column.null_count and _rounds(column):
            found.isetitem(index, pd.array(column.to_pylist(), dtype=nullable[field.type]))
    return found


def tensors(table: pa.Table, default_value: Any) -> dict[str, Any]:
    """Columns as torch tensors on the GPU, where there is one; see `BoxRetrievalJob.to_tensor`."""
    from feast.torch_wrapper import get_torch

    torch = get_torch()  # type: ignore[no-untyped-call]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {name: _tensor(torch, table.column(name), default_value, device) for name in table.column_names}


def _tensor(torch: Any, column: pa.ChunkedArray, default_value: Any, device: str) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    if whole and not column.null_count:
        values = column.to_numpy()
        return torch.tensor(values if values.dtype == np.bool_ else values.astype(np.int64), device=device)
    if whole or pa.types.is_floating(kind):
        numbers = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()
        filled = np.where(np.isnan(numbers), default_value, numbers)
        return torch.tensor(filled, device=device).to(torch.get_default_dtype())
    return [default_value if value is None else value for value in column.to_pylist()]


def _rounds(column: pa.ChunkedArray) -> bool:
    import pyarrow.compute as pc

    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) > _EXACT for end in ends.values())
