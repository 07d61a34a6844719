"""Services that use services: batchable ones, ones that fail, ones that use others."""

import asyncio

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from pydantic import BaseModel


class Point(BaseModel):
    x: float
    y: float = 0.0


@bentoml.service
class Deepest:
    @bentoml.api(batchable=True, max_batch_size=8)
    def doubled(self, x: np.ndarray) -> np.ndarray:
        return x * 2

    @bentoml.api
    def fails(self, how: str) -> str:
        raise InvalidArgument(how) if how == "argument" else ValueError(how)

    @bentoml.api
    def moved(self, point: Point) -> Point:
        return Point(x=point.x + 1, y=point.y)

    @bentoml.api
    def whole(self, text: str, /) -> str:
        return text.upper()


@bentoml.service
class Middle:
    deepest = bentoml.depends(Deepest)

    @bentoml.api
    async def summed(self, x: np.ndarray) -> float:
        return float((await self.deepest.to_async.doubled(x)).sum())


@bentoml.service
class Chained:
    deepest = bentoml.depends(Deepest)
    middle = bentoml.depends(Middle)

    @bentoml.api
    async def all(self, x: list[float]) -> list[float]:
        return await asyncio.gather(*(self.middle.to_async.summed(np.array([value])) for value in x))

    @bentoml.api
    def direct(self, x: list[float]) -> list[float]:
        return self.deepest.doubled(np.array(x)).tolist()

    @bentoml.api
    def fails(self, how: str) -> str:
        return self.deepest.fails(how)

    @bentoml.api
    def caught(self, how: str) -> str:
        try:
            return self.deepest.fails(how)
        except Exception as error:
            return type(error).__name__

    @bentoml.api
    def moved(self, point: Point) -> Point:
        return self.deepest.moved(point)

    @bentoml.api
    def whole(self, text: str) -> str:
        return self.deepest.whole(text)
