"""Requests of any content type that BentoML takes: JSON, forms, files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from boxplat.serving.codecs.models import Arguments, arguments
from boxplat.serving.codecs.reading import reader

_PICKLE = "application/vnd.bentoml+pickle"
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def reading(spec: Any) -> Callable[[Request], Awaitable[Arguments]]:
    """How a request becomes a call's arguments; raises what BentoML's models and its parser of forms raise."""
    from _bentoml_impl.serde import JSONSerde, MultipartSerde  # type: ignore[import-untyped]
    from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]
    from bentoml.exceptions import BentoMLException

    unpack, read = arguments(spec), reader(spec)
    is_file = issubclass(spec, IORootModel) and spec.model_json_schema().get("type") == "file"
    json, form = JSONSerde(), MultipartSerde()

    async def arguments_of(request: Request) -> Arguments:
        kind = request.headers.get("Content-Type", "application/json").split(";")[0].strip()
        if kind == _PICKLE:
            # It runs whatever code the client likes.
            refused = f"{_PICKLE} is not allowed in main server"
            raise BentoMLException(refused, error_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if kind in _FORMS:
            return unpack(await form.parse_request(request, spec))
        if is_file:
            return unpack(await json.parse_request(request, spec))
        return read(await request.body())

    return arguments_of
