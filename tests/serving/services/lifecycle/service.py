"""Hooks, probes, what a request's context gives, and what a service finds around itself."""

import time
from pathlib import Path

import bentoml
from bentoml import server_context

DEPLOYED = []
counter = bentoml.metrics.Counter("lifecycle_asked", "How often", labelnames=["how"])


@bentoml.service(threads=4, metrics={"namespace": "own"})
class Lifecycle:
    def __init__(self) -> None:
        self.ready, self.events = True, ["made"]

    @bentoml.on_deployment
    def deploy() -> None:
        DEPLOYED.append("deployed")

    @bentoml.on_startup
    def start(self) -> None:
        self.events.append("start")

    @bentoml.on_startup
    async def start_async(self) -> None:
        self.events.append("start async")

    @bentoml.on_shutdown
    async def stop(self) -> None:
        self.events.append("stop")

    async def __is_ready__(self) -> bool:
        return self.ready

    def __is_alive__(self) -> bool:
        return self.ready

    @bentoml.api
    def begun(self, until: str = "made") -> list[str]:
        """The events with `until` among them: a task in the background runs after its answer was sent."""
        deadline = time.monotonic() + 25
        while until not in self.events and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.events

    @bentoml.api
    def readied(self, ready: bool) -> bool:
        self.ready = ready
        return ready

    @bentoml.api
    def itself(self) -> bool:
        return bentoml.get_current_service() is self

    @bentoml.api
    async def by_itself(self, text: str) -> str:
        return await self.to_async.upper(text)

    @bentoml.api
    def upper(self, text: str) -> str:
        counter.labels(how="upper").inc()
        return text.upper()

    @bentoml.api
    def around(self) -> dict:
        return {"service": server_context.service_name, "bento": server_context.bento_name, "name": type(self).__name__}

    @bentoml.api
    def asked(self, ctx: bentoml.Context, name: str = "x") -> dict:
        request = ctx.request
        return {
            "method": request.method,
            "path": request.url.path,
            "query": dict(request.query_params),
            "cookies": request.cookies,
            "metadata": request.metadata.get("x-one"),
            "all": request.headers.getlist("x-one"),
            "name": name,
            "temp": Path(ctx.temp_dir).is_dir(),
        }

    @bentoml.api
    async def answered(self, context: bentoml.Context, status: int = 201) -> dict:
        context.response.status_code = status
        context.response.headers["x-a"] = "1"
        context.response.headers.append("x-a", "2")
        context.response.metadata["x-b"] = "\u00e9"
        context.response.set_cookie("c", "v w", max_age=3, path="/p", secure=True, httponly=True, samesite="strict")
        context.response.set_cookie("d", "")
        return {"status": status}

    @bentoml.api
    async def afterwards(self, ctx: bentoml.Context, what: str) -> str:
        ctx.response.background.add_task(self.events.append, what)
        return what

    @bentoml.api
    def counted(self, ctx: bentoml.Context) -> int:
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        return ctx.state["n"]

    @bentoml.api
    def whole(self, text: str, /, ctx: bentoml.Context) -> str:
        return text + ctx.request.headers.get("x-one", "")
