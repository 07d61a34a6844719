"""APIs whose inputs and outputs are of every kind that the inference protocol has a tensor for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import pandas as pd
import torch
from bentoml.validators import DataframeSchema, DType, Shape
from PIL.Image import Image
from pydantic import BaseModel


class Flight(BaseModel):
    distance: float
    carrier: str
    hours: list[int] = []


class Delay(BaseModel):
    probability: float
    reasons: list[str]
    detail: dict[str, int]


@bentoml.service(traffic={"timeout": 10})
class Everything:
    ended = False

    @bentoml.api
    async def scale(self, x: Annotated[np.ndarray, DType("float32"), Shape((-1, 3))], by: float = 2.0) -> np.ndarray:
        return x * np.float32(by)

    @bentoml.api
    def in_place(self, x: np.ndarray) -> np.ndarray:
        x += 1
        return x

    @bentoml.api
    def whole(self, x: np.ndarray, /) -> np.ndarray:
        return x

    @bentoml.api(batchable=True, max_batch_size=64)
    async def doubled(self, x: Annotated[np.ndarray, DType("float64")]) -> np.ndarray:
        return x * 2

    @bentoml.api
    def tensor(self, x: Annotated[torch.Tensor, DType("float32")]) -> torch.Tensor:
        return x @ torch.eye(x.shape[-1])

    @bentoml.api
    def brain(self, x: Annotated[torch.Tensor, DType("bfloat16")]) -> torch.Tensor:
        return x + 1

    @bentoml.api
    def add(self, a: int, b: float = 0.5, on: bool = True) -> float:
        return a + b if on else 0

    @bentoml.api
    def upper(self, text: str) -> str:
        return text.upper()

    @bentoml.api
    def maybe(self, value: int | None = None) -> int | None:
        return value

    @bentoml.api
    def lengths(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    @bentoml.api
    def matrix(self, rows: list[list[float]]) -> list[list[float]]:
        return rows[::-1]

    @bentoml.api
    def reverse(self, raw: bytes) -> bytes:
        return raw[::-1]

    @bentoml.api
    def delay(self, flight: Flight) -> Delay:
        return Delay(probability=1 / flight.distance, reasons=[flight.carrier], detail={"hours": sum(flight.hours)})

    @bentoml.api
    def flown(self, flight: Flight, /) -> Flight:
        return flight

    @bentoml.api
    def several(self, n: int) -> dict:
        return {
            "square": n * n,
            "name": str(n),
            "ratio": n / 2,
            "even": n % 2 == 0,
            "list": [n, n + 1],
            "odd": {"n": n},
        }

    @bentoml.api
    def arrays(self, n: int) -> dict[str, np.ndarray]:
        return {"zeros": np.zeros((n, 2), "float32"), "count": np.arange(n)}

    @bentoml.api
    def total(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(total=rows["a"] + rows["b"])

    @bentoml.api
    def chosen(
        self, rows: Annotated[pd.DataFrame, DataframeSchema(orient="columns", columns=["b", "a"])]
    ) -> Annotated[pd.DataFrame, DataframeSchema(orient="columns")]:
        return rows

    @bentoml.api
    def untyped(self, value):
        return value

    @bentoml.api
    def odd(self, kind: str) -> np.ndarray:
        return {
            "nan": np.array([np.nan, np.inf, 1]),
            "bool": np.array([True, False]),
            "half": np.array([0.5], "float16"),
            "text": np.array(["a", "bé"]),
            "point": np.array(3.5),
            "empty": np.empty((0, 3), "int16"),
            "big": np.array([1, 2], ">i4"),
            "complex": np.array([1j]),
        }[kind]

    @bentoml.api
    def size(self, file: Path, factor: int = 1) -> int:
        return len(file.read_bytes()) * factor

    @bentoml.api
    def turned(self, image: Image) -> Image:
        return image.rotate(90)

    @bentoml.api
    def agent(self, ctx: bentoml.Context) -> dict:
        return {"agent": ctx.request.headers.get("x-agent", "none")}

    @bentoml.api
    async def words(self, text: str = "word", n: int = 3) -> AsyncGenerator[str, None]:
        for index in range(n):
            yield f"{text} {index}\n"

    @bentoml.api
    def numbers(self, n: int = 3) -> Generator[float, None, None]:
        for index in range(n):
            yield index / 2

    @bentoml.api
    async def repeated(self, n: int = 2) -> AsyncGenerator[dict, None]:
        for index in range(n):
            yield {"index": index, "text": str(index)}

    @bentoml.api
    async def delays(self, n: int = 2) -> AsyncGenerator[Delay, None]:
        for index in range(n):
            yield Delay(probability=index, reasons=["x"], detail={})

    @bentoml.api
    async def rows(self, x: np.ndarray) -> AsyncGenerator[np.ndarray, None]:
        for row in x:
            yield row

    @bentoml.api
    async def torn(self) -> AsyncGenerator[str, None]:
        yield "first"
        raise bentoml.exceptions.InvalidArgument("torn")

    @bentoml.api
    async def endless(self) -> AsyncGenerator[str, None]:
        type(self).ended = False
        try:
            while True:
                yield "more"
                await asyncio.sleep(0.01)
        finally:
            type(self).ended = True

    @bentoml.api
    def endless_ended(self) -> bool:
        return self.ended

    @bentoml.api
    async def broken(self) -> AsyncGenerator[str, None]:
        raise ValueError("before the first")
        yield ""

    @bentoml.api
    async def slow(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api
    def fail(self, how: str) -> int:
        raise {"value": ValueError("secret"), "argument": bentoml.exceptions.InvalidArgument("no such thing")}[how]

    @bentoml.task
    def later(self, n: int) -> int:
        return n * n
