"""A service that says which process answers; started with CROWD set, a worker waits until it is let in."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import bentoml


@bentoml.service(name="team", workers=2)
class Team:
    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        if "CROWD" in os.environ:
            with Path(os.environ["CROWD"], "prepared").open("a") as file:
                file.write("once.")

    def __init__(self) -> None:
        number = bentoml.server_context.worker_index
        if "CROWD" in os.environ:
            crowd = Path(os.environ["CROWD"])
            (crowd / f"came-{number}").touch()
            while not (crowd / f"go-{number}").exists():
                time.sleep(0.01)

    @bentoml.api
    async def who(self, milliseconds: int = 0) -> dict:
        await asyncio.sleep(milliseconds / 1000)
        return {"pid": os.getpid(), "worker": bentoml.server_context.worker_index}

    @bentoml.api
    def tally(self) -> dict:
        return {"pid": os.getpid()}
