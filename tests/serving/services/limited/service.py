"""Limits of time and of concurrent requests, hooks and probes."""

import asyncio

import bentoml


@bentoml.service(traffic={"timeout": 4})
class Limited:
    started = False

    @bentoml.on_startup
    def start(self) -> None:
        self.started = True

    def __is_ready__(self) -> bool:
        return self.started

    @bentoml.api
    async def sleep(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api
    def begun(self) -> bool:
        return self.started
