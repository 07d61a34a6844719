"""Generators."""

from collections.abc import AsyncGenerator, Generator

import bentoml


@bentoml.service
class Streaming:
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
