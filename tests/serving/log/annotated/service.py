"""A service that says what its predictions were made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import bentoml
import numpy as np

from boxplat.serving import annotate


@bentoml.service(name="annotated", traffic={"timeout": 30})
class Annotated:
    @bentoml.api
    def rows(self, values: list[int]) -> list[int]:
        """Says a row for each value, in a thread."""
        annotate(rows=len(values), keys={"value": values}, features={"half": [value / 2 for value in values]})
        annotate(rows=len(values), predictions=[value + 1 for value in values], model_version="5")
        return [value + 1 for value in values]

    @bentoml.api
    async def one(self, value: int) -> int:
        annotate(keys={"value": value}, predictions=value + 1)
        return value + 1

    @bentoml.api(batchable=True)
    def batched(self, values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        """Says what the whole batch was, once."""
        annotate(rows=len(values), keys={"value": values[:, 0]}, predictions=values[:, 0] + 1)
        return values + 1

    @bentoml.api
    async def counted(self, until: int) -> AsyncGenerator[str, None]:
        annotate(keys={"value": until})
        for number in range(until):
            yield f"{number},"

    @bentoml.api
    def broken(self, value: int) -> int:
        annotate(keys={"value": value})
        raise RuntimeError("broken")
