"""A limit of concurrent requests."""

import asyncio
from collections.abc import AsyncGenerator

import bentoml
import numpy as np


@bentoml.service(traffic={"timeout": 3, "max_concurrency": 2}, threads=4)
class Crowded:
    @bentoml.api
    async def wait(self) -> str:
        await asyncio.Event().wait()
        return "never"

    @bentoml.api
    async def late(self) -> AsyncGenerator[str, None]:
        await asyncio.sleep(10)
        yield "late"

    @bentoml.api
    def double(self, x: np.ndarray) -> np.ndarray:
        return 2 * x
