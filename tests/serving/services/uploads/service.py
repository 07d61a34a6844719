"""Files: several, optional, as the whole body, beside other values, and as answers."""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from PIL import Image as Pillow
from PIL.Image import Image
from pydantic import BaseModel


class About(BaseModel):
    title: str
    year: int = 2026


@bentoml.service
class Uploads:
    @bentoml.api
    def sizes(self, files: list[Path]) -> list[int]:
        return [file.stat().st_size for file in files]

    @bentoml.api
    def maybe(self, file: Path | None = None, name: str = "none") -> str:
        return f"{name}: {file.read_text() if file else 'no file'}"

    @bentoml.api
    def suffix(self, file: Path) -> str:
        return "" if file.suffix == "" else file.name[file.name.index(".") :]

    @bentoml.api
    def plain(self, file: Annotated[Path, ContentType("text/*")]) -> Annotated[bytes, ContentType("text/plain")]:
        return file.read_bytes().upper()

    @bentoml.api
    def whole(self, file: Path, /) -> int:
        return len(file.read_bytes())

    @bentoml.api
    def picture(self, image: Image, /) -> list[int]:
        return list(image.size)

    @bentoml.api
    def pictures(self, images: list[Image]) -> list[str]:
        return [f"{image.format} {image.mode}" for image in images]

    @bentoml.api
    def described(self, image: Image, about: About, scale: float = 1.0) -> dict:
        return {"size": image.size, "about": about.model_dump(), "scale": scale}

    @bentoml.api
    def drawn(self, width: int = 2, kind: str = "PNG") -> Image:
        image = Pillow.new("RGB", (width, 1), "red")
        image.format = kind
        return image

    @bentoml.api
    def jpeg(self) -> Annotated[Image, ContentType("image/jpeg")]:
        return Pillow.new("L", (1, 1))

    @bentoml.api
    def written(self, name: str, ctx: bentoml.Context) -> Path:
        path = Path(ctx.temp_dir, name)
        path.write_text("x" * 100)
        return path

    @bentoml.api
    def sound(self) -> Annotated[bytes, ContentType("audio/wav")]:
        return b"RIFF\x00\xff"

    @bentoml.api
    async def echoed(self, data: bytes, /) -> bytes:
        return data
