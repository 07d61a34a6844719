"""The server put together: a repository's routes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from boxplat.features.freshness import of_catalog
from boxplat.features.server import refusal
from boxplat.features.server.forms import PUSH, READ, WRITE, Form
from boxplat.features.server.http import Application, Reply, Route
from boxplat.features.server.metrics import CONTENT_TYPE, Metrics
from boxplat.features.server.project import Project
from boxplat.features.server.pushing import Writer
from boxplat.features.server.reading import Reader
from boxplat.features.server.refusal import Refused
from boxplat.features.server.transforming import Feast

_ELSEWHERE = {
    "/materialize": "Materialize with: box features materialize",
    "/materialize-incremental": "Materialize with: box features materialize",
    "/search": "This store has no vector search",
    "/retrieve-online-documents": "This store has no vector search",
}


def application(repo: Path) -> Application:
    """The ASGI application that serves a feature repository."""
    metrics, project, feast = Metrics(), Project(repo), Feast(repo)
    reader, writer = Reader(project, feast, metrics), Writer(project, feast, metrics)

    async def read(form: Form) -> Reply:
        return Reply(await reader.answer(form))

    async def push(form: Form) -> Reply:
        await writer.push(form)
        return Reply()

    async def write(form: Form) -> Reply:
        await writer.write(form)
        return Reply(b"null")

    async def health(form: Form) -> Reply:
        return Reply()

    async def told(form: Form) -> Reply:
        served = project.served
        views = await asyncio.to_thread(of_catalog, served.catalog, served.store) if served else []
        return Reply(metrics.text(views), CONTENT_TYPE)

    routes: dict[str, tuple[str, Route]] = {
        READ: ("POST", read),
        PUSH: ("POST", push),
        WRITE: ("POST", write),
        "/health": ("GET", health),
        "/metrics": ("GET", told),
    }
    routes |= {path: ("POST", _elsewhere(text)) for path, text in _ELSEWHERE.items()}
    return Application(routes, metrics, reader.at_once)


def _elsewhere(text: str) -> Route:
    async def answer(form: Form) -> Reply:
        raise Refused(refusal.NOT_IMPLEMENTED, text)

    return answer
