"""Where a service's application lets the inference protocol in; light until the protocol is used."""

from __future__ import annotations

import asyncio
from typing import Any

# As requests over HTTP have, at the same time.
_GRACE_SECONDS = 5.0


class Door:
    """Both forms of the protocol for one service.

    Args:
        direct: the service's application (`boxplat.serving.direct.Direct`).
    """

    def __init__(self, direct: Any) -> None:
        self._direct = direct
        self._rest: Any = None
        self._grpc: Any = None
        self._stopped: asyncio.Task[None] | None = None

    def answers(self, scope: Any) -> bool:
        """Whether an ASGI request is the protocol's."""
        if scope["type"] != "http" or not scope["path"].startswith("/v2"):
            return False
        if self._rest is None:
            from boxplat.serving.inference.rest import Rest

            self._rest = Rest(self._direct)
        return bool(self._rest.answers(scope))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request that is the protocol's."""
        await self._rest(scope, receive, send)

    async def start(self) -> None:
        """Start the gRPC server where the endpoint has a port for it; the service has started."""
        if self._direct.settings.grpc_port:
            from boxplat.serving.inference import grpc

            self._grpc = await grpc.start(self._direct, self._direct.settings.grpc_port)

    def part(self) -> None:
        """Begin to stop it; requests under way have five seconds, while the service still runs."""
        if self._grpc is not None and self._stopped is None:
            self._stopped = asyncio.get_running_loop().create_task(self._grpc.stop(_GRACE_SECONDS))

    async def stop(self) -> None:
        """Stop it."""
        self.part()
        if self._stopped is not None:
            await self._stopped
