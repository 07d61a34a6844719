"""One positional argument is the whole body."""

import bentoml
from pydantic import BaseModel


class Point(BaseModel):
    x: float
    y: float = 0.0


@bentoml.service
class Positional:
    @bentoml.api
    def double(self, value: float, /) -> float:
        return 2 * value

    @bentoml.api
    def text(self, text: str, /) -> str:
        return text.upper()

    @bentoml.api
    def point(self, point: Point, /) -> Point:
        return Point(x=point.y, y=point.x)

    @bentoml.api
    def points(self, points: list[Point], /) -> list[Point]:
        return points[::-1]

    @bentoml.api
    def table(self, value: dict, /) -> dict:
        return value

    @bentoml.api
    def default(self, value: int = 7, /) -> int:
        return value
