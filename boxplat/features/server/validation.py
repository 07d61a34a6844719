"""Requests of an unusual shape: read, converted and refused by the same rules, and the same code, as in Feast's server.

FastAPI takes half a second to import, so that happens when the first such request comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from boxplat.features.server.forms import PUSH, READ, WRITE, Form
from boxplat.features.server.refusal import Refused

Scope = Mapping[str, Any]
_FORM = "boxplat.form"


class Validator:
    """FastAPI with Feast's forms and nothing behind them."""

    async def form(self, scope: Scope, body: bytes) -> Form:
        """The request's form.

        Raises:
            Refused: it does not fit, with the answer that FastAPI gives.
        """
        app = await asyncio.to_thread(lambda: self._app)
        messages: list[Mapping[str, Any]] = []

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            messages.append(message)

        form: Form = {}
        await app({**scope, _FORM: form}, receive, send)
        if not form:
            raise Answered(messages)
        return form

    @cached_property
    def _app(self) -> Any:
        from fastapi import FastAPI, Request, Response

        app = FastAPI(openapi_url=None)
        for path, model in _models().items():
            app.post(path)(_endpoint(model, Request, Response))
        return app


class Answered(Refused):
    """What FastAPI sent."""

    def __init__(self, messages: list[Mapping[str, Any]]) -> None:
        super().__init__(messages[0]["status"], None)
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


def _endpoint(model: type, request_class: type, response_class: type) -> Callable[..., Any]:
    async def endpoint(request: Any, form: Any) -> Any:
        request.scope[_FORM].update(form.model_dump())
        return response_class()

    # FastAPI reads the classes of the parameters from here.
    endpoint.__annotations__ = {"request": request_class, "form": model}
    return endpoint


def _models() -> dict[str, type]:
    """Feast 0.67's own forms (feast/feature_server.py), member by member: the order is that of the errors."""
    from pydantic import BaseModel

    class Write(BaseModel):
        feature_view_name: str
        df: dict[Any, Any]
        allow_registry_cache: bool = True
        transform_on_write: bool = True

    class Push(BaseModel):
        push_source_name: str
        df: dict[Any, Any]
        allow_registry_cache: bool = True
        to: str = "online"
        transform_on_write: bool = True

    class Read(BaseModel):
        entities: dict[str, list[Any]]
        feature_service: str | None = None
        features: list[str] = []
        full_feature_names: bool = False
        include_feature_view_version_metadata: bool = False

    return {READ: Read, PUSH: Push, WRITE: Write}
