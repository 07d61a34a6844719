"""What is attacked: quick and slow functions, large answers, streams, files."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import bentoml
import numpy as np


@bentoml.service(threads=2, traffic={"timeout": 20})
class Robust:
    def __init__(self) -> None:
        self.running, self.begun, self.ended = 0, 0, 0
        self._open = threading.Event()

    @bentoml.api
    def add(self, a: int, b: float = 0.5) -> float:
        return a + b

    @bentoml.api
    def shape(self, x: np.ndarray) -> list[int]:
        return list(x.shape)

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=10_000)
    def doubled(self, x: np.ndarray) -> np.ndarray:
        return x * 2

    @bentoml.api
    async def held(self, seconds: float) -> float:
        self.running += 1
        self.begun += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.running -= 1
        self.ended += 1
        return seconds

    @bentoml.api
    def blocked(self, seconds: float) -> float:
        self.begun += 1
        time.sleep(seconds)
        self.ended += 1
        return seconds

    @bentoml.api
    def gated(self) -> None:
        """Keeps its thread until the gate is open."""
        self.begun += 1
        self._open.wait(60)
        self.ended += 1

    @bentoml.api
    async def gate(self, is_open: bool) -> None:
        if is_open:
            self._open.set()
        else:
            self._open.clear()

    @bentoml.api
    async def counts(self) -> list[int]:
        return [self.running, self.begun, self.ended]

    @bentoml.api
    def large(self, mib: int) -> bytes:
        return bytes(mib * 2**20)

    @bentoml.api
    async def endless(self) -> AsyncGenerator[bytes, None]:
        self.running += 1
        try:
            while True:
                yield bytes(2**16)
        finally:
            self.running -= 1

    @bentoml.api
    def size(self, file: Path) -> int:
        return file.stat().st_size

    @bentoml.api
    def left(self, how: str) -> None:
        raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "generator": GeneratorExit()}[how]

    @bentoml.api
    def mistold(self) -> None:
        """Raises an error whose status is none of BentoML's."""
        raise bentoml.exceptions.BentoMLException("no such id", error_code=404)  # type: ignore[arg-type]
