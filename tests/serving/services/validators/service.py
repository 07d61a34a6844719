"""Every validator of `bentoml.validators`, on arguments and on answers."""

from typing import Annotated

import bentoml
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from bentoml.validators import ContentType, DataframeSchema, DType, Shape
from pydantic import Field


@bentoml.service
class Validators:
    @bentoml.api
    def typed(self, x: npt.NDArray[np.float64] = Field(default=[[0.5]])) -> list:  # noqa: B008
        return [str(x.dtype), list(x.shape)]

    @bentoml.api
    def kinds(self, x: Annotated[np.ndarray, DType("int8")]) -> Annotated[np.ndarray, DType("float16")]:
        return (x / 3).astype("float16")

    @bentoml.api
    def free(self, x: Annotated[np.ndarray, Shape((-1, 2))]) -> np.ndarray:
        return x[::-1]

    @bentoml.api
    def flags(self, x: Annotated[np.ndarray, DType("bool")], /) -> np.ndarray:
        return ~x

    @bentoml.api
    def single(self, x: Annotated[np.ndarray, DType("float32")], /) -> np.ndarray:
        return x

    @bentoml.api
    def double(self, x: np.ndarray, /) -> np.ndarray:
        return x

    @bentoml.api
    def tensor(
        self, x: Annotated[torch.Tensor, DType("int64"), Shape((2, 2))], y: Annotated[torch.Tensor, DType("float16")]
    ) -> torch.Tensor:
        return x.float() + y.float()

    @bentoml.api
    def untyped(self, x: torch.Tensor, /) -> torch.Tensor:
        return x

    @bentoml.api
    def frame(self, x: Annotated[pd.DataFrame, DataframeSchema(columns=("a", "b"))], /) -> pd.DataFrame:
        return x

    @bentoml.api
    def columns(
        self, x: Annotated[pd.DataFrame, DataframeSchema(orient="columns")]
    ) -> Annotated[pd.DataFrame, DataframeSchema(orient="columns")]:
        return x.describe()

    @bentoml.api
    def odd(self, kind: str) -> pd.DataFrame:
        return {
            "empty": pd.DataFrame(),
            "times": pd.DataFrame({"at": pd.to_datetime(["2026-01-01", None])}),
            "text": pd.DataFrame({"a": ["x", None], "b": pd.Categorical(["u", "v"])}),
            "gaps": pd.DataFrame({"a": [1.5, np.nan], "n": pd.array([1, None], dtype="Int64")}),
        }[kind]

    @bentoml.api
    def markdown(
        self, text: Annotated[str, ContentType("text/plain")], /
    ) -> Annotated[str, ContentType("text/markdown")]:
        return text

    @bentoml.api
    def json_text(self, text: str) -> Annotated[str, ContentType("application/json; charset=utf-8")]:
        return '{"text": "' + text + '"}'

    @bentoml.api
    def vague(self) -> Annotated[dict, ContentType("application/problem+json")]:
        return {"x": 1}
