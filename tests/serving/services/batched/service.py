"""Batchable functions."""

import bentoml
import numpy as np


@bentoml.service
class Batched:
    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=5000)
    def double(self, x: np.ndarray) -> np.ndarray:
        return x * 2

    @bentoml.api(batchable=True, max_batch_size=4)
    async def lengths(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    @bentoml.api(batchable=True, max_batch_size=4)
    def picky(self, x: list[int]) -> list[int]:
        if any(value < 0 for value in x):
            raise ValueError("negative")
        return [value + 1 for value in x]

    @bentoml.api(batchable=True, batch_dim=(0, 0))
    def whole(self, x: np.ndarray, /) -> np.ndarray:
        return x + 1
