"""NumPy arrays of given and of any type and shape."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape


@bentoml.service
class Arrays:
    @bentoml.api
    def scale(self, x: np.ndarray, by: float = 2.0) -> np.ndarray:
        return x * by

    @bentoml.api
    def square(
        self, x: Annotated[np.ndarray, DType("float32"), Shape((2, 2))]
    ) -> Annotated[np.ndarray, DType("float32")]:
        return x @ x

    @bentoml.api
    def whole(self, x: np.ndarray, /) -> np.ndarray:
        return x.sum(axis=0)

    @bentoml.api
    def described(self, x: np.ndarray) -> dict:
        return {"shape": list(x.shape), "dtype": str(x.dtype)}

    @bentoml.api
    def scalar(self, x: np.ndarray) -> float:
        return x.max()

    @bentoml.api
    def odd(self, kind: str) -> np.ndarray:
        return {
            "nan": np.array([np.nan, np.inf]),
            "bool": np.array([True, False]),
            "int": np.array([2**62]),
            "empty": np.zeros((0, 3)),
            "text": np.array(["a", "b"]),
            "none": None,
        }[kind]
