"""The request's context: status, headers, cookies."""

import bentoml
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
