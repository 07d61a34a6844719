"""The network as an MLflow model from code: nothing is pickled. `python mlflow_model.py FOLDER` saves it."""

from __future__ import annotations

import sys
from typing import Any

import mlflow
import numpy as np
from network import Network


class Mlp(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.network = Network()

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        return self.network(np.asarray(model_input))


def save(folder: str) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    kind = np.dtype(np.float64)
    signature = ModelSignature(Schema([TensorSpec(kind, (-1, 64))]), Schema([TensorSpec(kind, (-1, 1))]))
    mlflow.pyfunc.save_model(folder, python_model=__file__, signature=signature, pip_requirements=[])


if __name__ == "__main__":
    save(sys.argv[1])
else:
    mlflow.models.set_model(Mlp())
