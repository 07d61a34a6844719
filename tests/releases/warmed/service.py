"""A service that refuses, breaks or answers as its request says."""

from __future__ import annotations

import os
from typing import Annotated

import bentoml
from pydantic import Field

from boxplat.serving import annotate


@bentoml.service(name="warmed", traffic={"timeout": 30})
class Warmed:
    @bentoml.api
    def one(self, value: Annotated[int, Field(ge=0, examples=[4])]) -> int:
        annotate(keys={"value": value})
        if value == 500:
            raise RuntimeError("broken")
        if value > int(os.environ.get("LARGEST", "1000")):
            raise bentoml.exceptions.InvalidArgument("too large")
        return value + 1

    @bentoml.api
    def cold(self, value: int) -> int:
        """Not loaded yet when it is asked for the first time."""
        self.asked = getattr(self, "asked", 0) + 1
        if self.asked <= value:
            raise bentoml.exceptions.ServiceUnavailable("still loading")
        return value

    @bentoml.api
    def undescribed(self, value: int) -> int:
        return value
