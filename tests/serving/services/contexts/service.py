"""The request's context: status, headers, cookies."""

import asyncio

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from starlette.responses import PlainTextResponse


@bentoml.service
class Contexts:
    @bentoml.api
    def teapot(self, ctx: bentoml.Context) -> str:
        ctx.response.status_code = 418
        ctx.response.headers["x-thing"] = "yes"
        ctx.response.set_cookie("a", "b")
        return "short"

    @bentoml.api
    def asked(self, context: bentoml.Context) -> dict:
        return {"agent": context.request.headers.get("x-agent", "none"), "path": context.request.url.path}

    @bentoml.api
    def raw(self, status: int = 202):
        return PlainTextResponse("raw", status_code=status, headers={"x-raw": "1"})

    @bentoml.api
    async def asked_async(self, ctx: bentoml.Context, n: int = 1) -> dict:
        await asyncio.sleep(0)
        return {"agent": ctx.request.headers.get("x-agent", "none"), "n": n, "query": str(ctx.request.url.query)}

    @bentoml.api
    def root(self, x: np.ndarray, /, ctx: bentoml.Context) -> np.ndarray:
        ctx.response.headers["x-rows"] = str(len(x))
        return x

    @bentoml.api
    def failed(self, ctx: bentoml.Context, how: str = "value") -> str:
        ctx.response.status_code = 202
        ctx.response.headers["x-thing"] = "lost"
        raise InvalidArgument("no") if how == "argument" else ValueError("no")

    @bentoml.api
    def overruled(self, ctx: bentoml.Context):
        ctx.response.headers["x-thing"] = "kept"
        return PlainTextResponse("raw", status_code=404, headers={"x-raw": "1", "server": "mine"})

    @bentoml.api
    async def named(self, ctx: bentoml.Context, **named: str) -> dict:
        return {"ctx": type(ctx).__name__, **named}

    @bentoml.api
    async def kept(self, ctx: bentoml.Context, value: int | None = None) -> list:
        # What runs in the background ends when it likes, which may be after the next request has come.
        while not ctx.state.get("ended", True):
            await asyncio.sleep(0.01)
        before = ctx.state.get("value"), getattr(ctx.request.state, "value", None), ctx.temp_dir != ""
        ctx.state["ended"], ctx.state["value"] = False, value
        ctx.request.state.value = value
        later = {"value": None if value is None else value + 1, "ended": True}
        ctx.response.background.add_task(ctx.state.update, later)
        return list(before)

    @bentoml.api
    async def empty(self, ctx: bentoml.Context, status: int = 204) -> None:
        ctx.response.status_code = status
        ctx.response.set_cookie("a", "b", max_age=5, httponly=True)
        ctx.response.set_cookie("c", "d")
