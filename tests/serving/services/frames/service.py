"""pandas frames."""

from typing import Annotated

import bentoml
import pandas as pd
from bentoml.validators import DataframeSchema


@bentoml.service
class Frames:
    @bentoml.api
    def total(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(total=rows.sum(axis=1))

    @bentoml.api
    def columns(
        self, rows: Annotated[pd.DataFrame, DataframeSchema(orient="columns", columns=["a", "b"])]
    ) -> Annotated[pd.DataFrame, DataframeSchema(orient="columns")]:
        return rows.iloc[::-1]

    @bentoml.api
    def whole(self, rows: pd.DataFrame, /) -> int:
        return len(rows)
