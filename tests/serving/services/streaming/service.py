"""Generators."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import bentoml


@bentoml.service
class Streaming:
    closed = 0

    @bentoml.api
    async def words(self, n: int = 3) -> AsyncGenerator[str, None]:
        for index in range(n):
            yield f"word {index}\n"

    @bentoml.api
    def numbers(self, n: int = 3) -> Generator[str, None, None]:
        for index in range(n):
            yield str(index)

    @bentoml.api
    async def broken(self) -> AsyncGenerator[str, None]:
        raise ValueError("before the first")
        yield ""

    @bentoml.api
    async def ticking(self) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0.01)
        finally:
            self.closed += 1

    @bentoml.api
    def ticking_in_thread(self) -> Generator[str, None, None]:
        try:
            while True:
                yield "tick"
        finally:
            self.closed += 1

    @bentoml.api
    async def closings(self) -> int:
        return self.closed
