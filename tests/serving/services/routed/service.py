"""Routes, a prefix, a mounted application and a middleware of the user's."""

import bentoml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = Starlette(routes=[Route("/hello", lambda request: PlainTextResponse("hello"))])


class Stamp:
    def __init__(self, app, stamp="x"):
        self.app, self.stamp = app, stamp

    async def __call__(self, scope, receive, send):
        async def sending(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", self.stamp.encode())]
            await send(message)

        await self.app(scope, receive, sending)


@bentoml.asgi_app(app, path="/mounted")
@bentoml.service(path_prefix="/v1")
class Routed:
    @bentoml.api(route="/custom/path")
    def routed(self, x: int) -> int:
        return x

    @bentoml.api
    def plain(self, x: int) -> int:
        return -x


Routed.add_asgi_middleware(Stamp, stamp="yes")
