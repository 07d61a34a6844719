"""A service that loads a registered model as the documentation says."""

from __future__ import annotations

import bentoml
import numpy as np

from boxplat.serving import backends


@bentoml.service
class Chosen:
    def __init__(self) -> None:
        self.model = backends.load("models:/wide/1")

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> dict:
        answers = self.model(np.asarray(rows, np.float32))
        return {"backend": self.model.backend, "reason": self.model.reason, "answers": answers.tolist()}
