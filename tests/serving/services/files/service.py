"""Paths and images."""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from PIL.Image import Image


@bentoml.service
class Files:
    @bentoml.api
    def size(self, file: Path) -> int:
        return len(file.read_bytes())

    @bentoml.api
    def upper(self, file: Path, name: str = "x") -> str:
        return name + file.read_text().upper()

    @bentoml.api
    def turned(self, image: Image) -> Image:
        return image.rotate(90)

    @bentoml.api
    def made(self, ctx: bentoml.Context) -> Annotated[Path, ContentType("text/csv")]:
        path = Path(ctx.temp_dir) / "made.csv"
        path.write_text("a,b\n1,2\n")
        return path
