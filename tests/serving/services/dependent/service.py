"""A service that uses another one."""

import time
from collections.abc import AsyncGenerator, Generator

import bentoml
import numpy as np


@bentoml.service(traffic={"timeout": 3})
class Inner:
    running = 0

    @bentoml.on_startup
    def begin(self) -> None:
        self.begun = 1

    @bentoml.api
    def double(self, x: int) -> int:
        return 2 * x * self.begun

    @bentoml.api
    def spoils(self, values: np.ndarray) -> float:
        values[:] = 0
        return float(values.sum())

    @bentoml.api
    def alone(self) -> int:
        self.running += 1
        time.sleep(0.02)
        seen, self.running = self.running, self.running - 1
        return seen

    @bentoml.api
    async def slow(self) -> str:
        import asyncio

        await asyncio.sleep(30)
        return "never"

    @bentoml.api
    async def counts(self, to: int) -> AsyncGenerator[str, None]:
        for number in range(to):
            if number == 3:
                raise ValueError("three")
            yield f"{number};"

    @bentoml.api
    def letters(self, of: str) -> Generator[str, None, None]:
        for letter in of:
            yield f"{letter}."


@bentoml.service
class Dependent:
    inner = bentoml.depends(Inner)

    def __init__(self) -> None:
        for client in ("_sync", "_async"):
            # BentoML's own waits for 1 % longer than the other service, whose refusal may take longer to come.
            if hasattr(self.inner, client):
                getattr(self.inner, client).timeout = 60

    @bentoml.api
    def twice(self, x: int) -> int:
        return self.inner.double(self.inner.double(x))

    @bentoml.api
    async def later(self, x: int) -> int:
        return await self.inner.to_async.double(x)

    @bentoml.api
    async def wrong(self) -> int:
        return await self.inner.to_async.double("many")

    @bentoml.api
    def kept(self, values: list[float]) -> list[float]:
        mine = np.array(values)
        return [self.inner.spoils(mine), *mine.tolist()]

    @bentoml.api
    async def crowd(self) -> int:
        import asyncio

        return max(await asyncio.gather(*(self.inner.to_async.alone() for _ in range(4))))

    @bentoml.api
    async def waits(self) -> str:
        return await self.inner.slow()

    @bentoml.api
    async def counted(self, to: int) -> AsyncGenerator[str, None]:
        async for piece in self.inner.counts(to):
            yield piece

    @bentoml.api
    async def joined(self, of: str) -> str:
        return "".join([piece async for piece in self.inner.to_async.letters(of)])

    @bentoml.api
    def spelled(self, of: str) -> str:
        return "".join(self.inner.letters(of))
