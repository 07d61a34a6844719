"""Cross-origin rules, a limit of concurrent requests, and FastAPI under a path of its own."""

import asyncio

import bentoml
from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{number}")
def item(number: int) -> dict[str, int]:
    return {"number": number}


@app.websocket("/talk")
async def talk(socket) -> None:
    await socket.accept()


@bentoml.asgi_app(app, path="/own")
@bentoml.service(
    traffic={"timeout": 5, "max_concurrency": 4},
    http={
        "cors": {
            "enabled": True,
            "access_control_allow_origins": ["http://a.example"],
            "access_control_allow_methods": ["POST"],
            "access_control_max_age": 60,
        }
    },
)
class Crossorigin:
    @bentoml.api
    async def held(self, seconds: float = 0.0) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api
    def plain(self, x: int) -> int:
        return x
