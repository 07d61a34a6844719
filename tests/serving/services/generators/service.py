"""Streams of text, bytes, models and values, with a content type, a context or an error."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Annotated

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from bentoml.validators import ContentType
from pydantic import BaseModel


class Token(BaseModel):
    text: str
    last: bool = False


@bentoml.service
class Generators:
    @bentoml.api
    async def pieces(self, n: int = 3) -> AsyncGenerator[bytes, None]:
        for index in range(n):
            await asyncio.sleep(0)
            yield bytes([index]) * 3

    @bentoml.api
    async def tokens(self, words: list[str]) -> AsyncIterator[Token]:
        for word in words:
            yield Token(text=word)

    @bentoml.api
    def rows(self, n: int = 2) -> Iterator[dict]:
        for index in range(n):
            yield {"n": index}

    @bentoml.api
    async def numbers(self, n: int = 2) -> AsyncGenerator[int, None]:
        for index in range(n):
            yield index

    @bentoml.api
    async def arrays(self) -> AsyncGenerator[np.ndarray, None]:
        yield np.arange(3)
        yield np.zeros((1, 2))

    @bentoml.api
    async def events(self, n: int = 2) -> AsyncGenerator[Annotated[str, ContentType("text/event-stream")], None]:
        for index in range(n):
            yield f"data: {index}\n\n"

    @bentoml.api
    async def midway(self) -> AsyncGenerator[str, None]:
        yield "one"
        raise ValueError("midway")

    @bentoml.api
    def midway_in_thread(self) -> Generator[str, None, None]:
        yield "one"
        raise ValueError("midway")

    @bentoml.api
    async def refused(self, n: int) -> AsyncGenerator[str, None]:
        raise InvalidArgument(f"not {n}")
        yield ""

    @bentoml.api
    async def with_context(self, ctx: bentoml.Context) -> AsyncGenerator[str, None]:
        ctx.response.status_code = 203
        ctx.response.headers["x-stream"] = "1"
        yield ctx.request.url.path

    @bentoml.api
    def handed_on(self, n: int = 2) -> Generator[str, None, None]:
        return (str(index) for index in range(n))

    @bentoml.api
    async def handed_on_async(self, n: int = 2) -> AsyncGenerator[str, None]:
        async def found() -> AsyncGenerator[str, None]:
            for index in range(n):
                yield str(index)

        return found()

    @bentoml.api
    async def endless(self) -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x" * 65536

    @bentoml.api
    def unicode(self) -> Generator[str, None, None]:
        yield "\u00e9"
        yield "\U0001f600"
        yield ""
