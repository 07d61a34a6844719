"""The inference protocol for a service's application; light until the protocol is used."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from boxplat.serving.endpoint import Endpoint

if TYPE_CHECKING:
    from boxplat.serving.http.plain import Head
    from boxplat.serving.inference.rest import Rest

# As requests over HTTP have, at the same time.
_GRACE_SECONDS = 5.0


class InferenceProtocol:
    """Both forms of the protocol for one service.

    Args:
        direct: the service's application (`boxplat.serving.direct.Direct`).
    """

    def __init__(self, direct: Any) -> None:
        self._direct = direct
        self._grpc: Any = None
        self._stopped: asyncio.Task[None] | None = None

    def answers(self, scope: Any) -> bool:
        """Whether an ASGI request is the protocol's: its path begins with /v2, which no route of the service's does."""
        if scope["type"] != "http" or not scope["path"].startswith("/v2"):
            return False
        return scope["path"][3:4] in ("", "/") and self._is_free

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request that is the protocol's."""
        await self._rest(scope, receive, send)

    async def start(self) -> None:
        """Take requests on the short way, and over gRPC where there is a port for it; the service has started."""
        if self._is_free:
            for endpoint in list(self._direct.endpoints.values()):
                self._open(endpoint)
        if self._direct.settings.grpc_port:
            from boxplat.serving.inference import grpc

            self._grpc = await grpc.start(self._direct, self._direct.settings.grpc_port)

    def _open(self, endpoint: Endpoint) -> None:
        service = self._direct.factory.service
        names = {endpoint.name, service.name} if len(service.apis) == 1 else {endpoint.name}
        for name in names:
            path = f"/v2/models/{name}/infer"
            self._direct.endpoints[path] = replace(endpoint, for_head=partial(self._infer, endpoint, name))

    def _infer(self, endpoint: Endpoint, name: str, head: Head) -> Endpoint:
        from boxplat.serving.inference.infer import Infer
        from boxplat.serving.inference.ways import Called

        repository = self._rest.repository
        model = repository.model(name)
        assert isinstance(model.way, Called)
        # It has everything that a request asks of its endpoint; a new endpoint for each would cost more than the rest.
        return cast(Endpoint, Infer(endpoint, model, model.way, name, repository.version, head))

    @cached_property
    def _rest(self) -> Rest:
        from boxplat.serving.inference.rest import Rest

        return Rest(self._direct)

    @cached_property
    def _is_free(self) -> bool:
        return not any(_takes(route) for route in self._direct.app.routes)

    def part(self) -> None:
        """Begin to stop it; requests under way have five seconds, while the service still runs."""
        if self._grpc is not None and self._stopped is None:
            self._stopped = asyncio.get_running_loop().create_task(self._grpc.stop(_GRACE_SECONDS))

    async def stop(self) -> None:
        """Stop it."""
        self.part()
        if self._stopped is not None:
            await self._stopped


def _takes(route: Any) -> bool:
    """Whether a route of the service's own may answer something under /v2."""
    path = getattr(route, "path", "")
    inner = getattr(route, "routes", None)
    if path.rstrip("/") == "" and hasattr(route, "app") and not hasattr(route, "endpoint"):
        return any(_takes(one) for one in inner) if inner else True
    return path == "/v2" or path.startswith(("/v2/", "/{"))
