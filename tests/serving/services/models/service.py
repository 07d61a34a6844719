"""Pydantic models with validators, aliases, defaults and unions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import bentoml
from pydantic import BaseModel, ConfigDict, Field, field_validator


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=5)
    price: Decimal = Field(ge=0)
    tags: list[str] = []


class Order(BaseModel):
    id: UUID
    at: datetime
    items: list[Item]
    note: str | None = None

    @field_validator("note")
    @classmethod
    def short(cls, value: str | None) -> str | None:
        if value and len(value) > 10:
            raise ValueError("note is long")
        return value


class Total(BaseModel):
    sum: Decimal
    at: datetime
    names: list[str] = Field(serialization_alias="itemNames")


@bentoml.service
class Models:
    @bentoml.api
    def total(self, order: Order) -> Total:
        return Total(
            sum=sum((item.price for item in order.items), Decimal()), at=order.at, names=[i.name for i in order.items]
        )

    @bentoml.api
    def whole(self, order: Order, /) -> Order:
        return order

    @bentoml.api
    def wrong(self) -> Total:
        return {"sum": 1}

    @bentoml.api(input_spec=Item, output_spec=Item)
    def specified(self, **item: object) -> object:
        return Item(**item)
