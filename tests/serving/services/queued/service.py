"""Tasks: of the event loop, in a thread, failing, with files, and plain calls beside them."""

from pathlib import Path

import bentoml
import numpy as np


@bentoml.service
class Queued:
    @bentoml.task
    async def doubled(self, x: np.ndarray) -> np.ndarray:
        return x * 2

    @bentoml.task
    def fails(self, how: str) -> str:
        raise ValueError(how)

    @bentoml.task(route="/of/a/file")
    def size(self, file: Path) -> int:
        return len(file.read_bytes())

    @bentoml.task
    def text(self, text: str, /) -> str:
        return text.upper()

    @bentoml.api
    def plain(self, n: int = 1) -> int:
        return n
