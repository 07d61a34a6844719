"""One API, under a name of its own; with a custom prefix."""

import asyncio
import os
from pathlib import Path

import bentoml
import numpy as np


@bentoml.service(name="scorer", path_prefix="/api")
class Alone:
    ready = True

    def __is_ready__(self) -> bool:
        return self.ready

    @bentoml.api(route="/score")
    async def predict(self, x: np.ndarray, held: bool = False) -> dict:
        type(self).ready = bool(x[0] >= 0)
        while held and not Path(os.environ["GATE"]).exists():
            await asyncio.sleep(0.02)
        return {"sum": float(x.sum()), "process": os.getpid()}
