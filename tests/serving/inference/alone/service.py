"""One API, under a name of its own; with a custom prefix."""

import asyncio
import os

import bentoml
import numpy as np


@bentoml.service(name="scorer", path_prefix="/api")
class Alone:
    ready = True

    def __is_ready__(self) -> bool:
        return self.ready

    @bentoml.api(route="/score")
    async def predict(self, x: np.ndarray, seconds: float = 0.0) -> dict:
        type(self).ready = bool(x[0] >= 0)
        await asyncio.sleep(seconds)
        return {"sum": float(x.sum()), "process": os.getpid()}
