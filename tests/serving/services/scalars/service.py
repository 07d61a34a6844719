"""Plain Python values, defaults, optional and nested ones."""

import enum
from typing import Literal

import bentoml
from pydantic import Field


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@bentoml.service
class Scalars:
    @bentoml.api
    def add(self, a: int, b: float = 0.5) -> float:
        return a + b

    @bentoml.api
    def echo_text(self, text: str) -> str:
        return text

    @bentoml.api
    def flag(self, on: bool) -> bool:
        return not on

    @bentoml.api
    def nothing(self) -> None:
        return None

    @bentoml.api
    def maybe(self, value: int | None = None) -> int | None:
        return value

    @bentoml.api
    def colour(self, colour: Colour, kind: Literal["a", "b"] = "a") -> str:
        return f"{colour.value}{kind}"

    @bentoml.api
    def bounded(self, n: int = Field(ge=0, le=10, default=3)) -> int:
        return n

    @bentoml.api
    def nested(self, rows: list[dict[str, list[int]]]) -> dict[str, int]:
        return {key: sum(values) for row in rows for key, values in row.items()}

    @bentoml.api
    def many(self, *numbers: int, **named: str) -> dict:
        return {"numbers": numbers, "named": named}

    @bentoml.api
    def untyped(self, value):
        return value
