"""Content types of text and bytes."""

from typing import Annotated

import bentoml
from bentoml.validators import ContentType


@bentoml.service
class Texts:
    @bentoml.api
    def html(self, name: str) -> Annotated[str, ContentType("text/html")]:
        return f"<p>{name}</p>"

    @bentoml.api
    def binary(self, n: int) -> bytes:
        return bytes(range(n))

    @bentoml.api
    def typed(self, n: int) -> Annotated[bytes, ContentType("application/x-thing")]:
        return b"x" * n

    @bentoml.api
    def either(self, text: bool) -> str | int:
        return "text" if text else 7
