"""What Pydantic knows besides plain values, and how a service may name what goes in and out."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import bentoml
import numpy as np
from annotated_types import Ge, Len, Lt, MultipleOf
from pydantic import AnyUrl, Base64Bytes, BaseModel, ConfigDict, Field, Json, RootModel, SecretStr, computed_field
from typing_extensions import TypedDict


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(alias="fullName")


class Pair(NamedTuple):
    a: int
    b: str


class Row(TypedDict, total=False):
    x: float
    tags: set[str]


@dataclass
class Size:
    width: int
    height: int = 1


class Names(RootModel[list[str]]):
    pass


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow", str_strip_whitespace=True)
    name: str


class Leaf(BaseModel):
    value: int


class Tree(Leaf):
    children: list[Leaf] = []

    @computed_field
    @property
    def total(self) -> int:
        return self.value + sum(child.value for child in self.children)


class Vector(bentoml.IODescriptor):
    values: np.ndarray
    label: str = "none"


class Labelled(BaseModel):
    label: str
    score: float = Field(ge=0, le=1)


@bentoml.service
class Kinds:
    @bentoml.api
    def moments(self, at: datetime, day: date, clock: time, span: timedelta | None = None) -> dict[str, Any]:
        return {"at": at, "day": day, "clock": clock, "end": at + (span or timedelta(1))}

    @bentoml.api
    def identities(self, key: UUID, price: Decimal, address: IPv4Address, url: AnyUrl) -> list[str]:
        return [str(key), str(price), str(address), str(url)]

    @bentoml.api
    def level(self, level: Level, answer: Literal["yes", 1, None] = None) -> Level:
        return Level(3 - level)

    @bentoml.api
    def pet(self, pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> Cat | Dog:
        return pet

    @bentoml.api
    def collected(self, pair: Pair, size: Size, row: Row, unique: set[int], fixed: tuple[int, str]) -> dict:
        return {"pair": pair, "size": size, "row": sorted(row), "unique": sorted(unique), "fixed": fixed}

    @bentoml.api
    def names(self, names: Names) -> Names:
        return Names(names.root[::-1])

    @bentoml.api
    def root_names(self, names: Names, /) -> Names:
        return names

    @bentoml.api
    def loose(self, loose: Loose) -> Loose:
        return loose

    @bentoml.api
    def tree(self, tree: Tree, /) -> Tree:
        return tree

    @bentoml.api
    def strict(
        self,
        n: Annotated[int, Ge(0), Lt(100), MultipleOf(5)],
        text: Annotated[str, Len(1, 4)] = Field("ab", pattern="^[a-z]+$"),
        ratio: float = Field(0.5, gt=0, lt=1, allow_inf_nan=False),
    ) -> tuple[int, str, float]:
        return n, text, ratio

    @bentoml.api
    def encoded(self, data: Base64Bytes, inner: Json[list[int]] | None = None, secret: SecretStr | None = None) -> dict:
        return {"size": len(data), "inner": inner, "secret": str(secret)}

    @bentoml.api
    def raw(self, data: bytes) -> bytes:
        return data[::-1]

    @bentoml.api
    def optional(self, item: Labelled | None = None, rows: list[int | None] | None = None) -> Labelled | None:
        return item

    @bentoml.api
    def vector(self, vector: Vector, /) -> Vector:
        return Vector(values=vector.values * 2, label=vector.label)

    @bentoml.api(input_spec=Vector)
    def spread(self, values, label):
        return {"sum": values.sum(), "label": label}

    @bentoml.api(input_spec=Labelled, output_spec=Labelled)
    def labelled(self, **fields: Any) -> Any:
        return Labelled(**fields)

    @bentoml.api
    def named(self, first: int, **rest: float) -> dict[str, float]:
        return {"first": first, **rest}

    @bentoml.api
    def counted(self, *values: Annotated[int, Ge(0)]) -> int:
        return sum(values)

    @bentoml.api
    def sequence(self, values: Sequence[float]) -> list[float]:
        return [value / 3 for value in values]

    @bentoml.api
    def floats(self, values: list[float], /) -> list[float]:
        return values

    @bentoml.api
    def anything(self, value: Any, /) -> Any:
        return value

    @bentoml.api(name="renamed", route="/by/another/name")
    def original(self, x: int = 1) -> int:
        """Says what it does.

        Over several lines.
        """
        return x
