"""Functions of the event loop, and one that works in a thread."""

import asyncio

import bentoml


@bentoml.service(threads=2)
class Asynchronous:
    @bentoml.api
    async def slow(self, seconds: float = 0.0) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api
    async def fail(self, how: str) -> int:
        await asyncio.sleep(0)
        if how == "value":
            raise ValueError("no")
        if how == "group":
            raise ExceptionGroup("several", [ValueError("a")])
        return 1

    @bentoml.api
    def threaded(self, n: int) -> int:
        return sum(range(n))
