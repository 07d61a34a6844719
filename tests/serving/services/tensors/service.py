"""Torch tensors."""

from typing import Annotated

import bentoml
import torch
from bentoml.validators import DType


@bentoml.service
class Tensors:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 2)

    @bentoml.api
    def forward(self, x: Annotated[torch.Tensor, DType("float32")]) -> torch.Tensor:
        with torch.inference_mode():
            return self.layer(x)

    @bentoml.api
    def graded(self, x: Annotated[torch.Tensor, DType("float32")]) -> torch.Tensor:
        return self.layer(x)
