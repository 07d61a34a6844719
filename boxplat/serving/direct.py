"""Answering a Bento service's requests without BentoML's layers around them.

An ASGI application in front of BentoML's own: a JSON request to a plain `@bentoml.api` is read, checked, computed and
written with BentoML's own models; everything else goes on to BentoML's application, in the same process and with the
same service object. `Shortcut` asks it too, as the bytes of a request arrive.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from contextlib import nullcontext
from typing import Any

from starlette.responses import Response

from boxplat.serving.calls.calling import CLIENT
from boxplat.serving.calls.threads import Threads
from boxplat.serving.counting import Counters
from boxplat.serving.endpoint import Endpoint, path_of, plain
from boxplat.serving.general import General, general
from boxplat.serving.http.asgi import App, Message, Receive, Send, body_of, client_of, is_json, turning
from boxplat.serving.http.guard import guarded
from boxplat.serving.http.heads import Heads
from boxplat.serving.http.patience import Patience
from boxplat.serving.http.refusal import Reply, timed_out
from boxplat.serving.inference.protocol import InferenceProtocol
from boxplat.serving.log import journal
from boxplat.serving.log.journal import Journal
from boxplat.serving.log.observed import Observed
from boxplat.serving.presence import Presence, file_of
from boxplat.serving.settings import Settings
from boxplat.serving.trimming import trim


class Direct:
    """The application: BentoML's `app`, made by `factory`, with the eligible endpoints answered here.

    Attributes:
        endpoints: by path, once BentoML has made the service object.
        general: those that take any request to an API, likewise.
        timeout: seconds that an answer may take.
        patience: with answers that take too long and clients that send too slowly.
        presence: tells that there are requests.
        heads: of answers.
        journal: the prediction log; None: there is none.
    """

    def __init__(self, factory: Any, app: Any, settings: Settings) -> None:
        from bentoml._internal.configuration.containers import BentoMLContainer
        from bentoml._internal.context import trace_context

        self.app = app
        self.factory = factory
        self.settings = settings
        self.endpoints: dict[str, Endpoint] = {}
        self.general: dict[str, General] = {}
        self.counters: Counters | None = None
        self.journal = journal.of(settings, os.environ)
        self.timeout: float = factory.timeout
        self.patience = Patience(self.timeout)
        self.presence = Presence(file_of(os.environ), any(api.is_task for api in factory.service.apis.values()))
        self._trace = trace_context
        self._inference = InferenceProtocol(self)
        self._threads = Threads(factory.service.config.get("threads", 1))
        trim(factory, app, self._threads)
        self._server = f"BentoML Service/{factory.service.name}".encode()
        self._format = BentoMLContainer.logging_formatting.get()["span_id"]
        self.heads = Heads(self._server, self._format)
        self._guarded = guarded(self._route, settings.body_bytes)
        self._observed: App = self._call

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._guarded(scope, receive, turning(send))

    async def _route(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._inference.answers(scope):
            await self._inference(scope, receive, send)
            return
        await self._observed(scope, receive, send)

    async def _call(self, scope: Message, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self.endpoints.get(scope["path"]) if is_call and is_json(scope) else None
        if endpoint is not None:
            body = await body_of(receive)
            if body is not None:
                await self._answer(endpoint, body, scope, receive, send)
        elif is_call and scope["path"] in self.general:
            CLIENT.set(client_of(scope))
            await self.general[scope["path"]](scope, receive, send)
        else:
            if self.counters is not None and scope["path"].endswith("/metrics"):
                self.counters.flush()
            with self.presence.request() if is_call or scope["type"] == "websocket" else nullcontext():
                await self.app(scope, receive, send)

    def named(self, number: int) -> list[tuple[bytes, bytes]]:
        """The headers that name the service and the request."""
        return [(b"server", self._server), (b"x-bentoml-request-id", format(number, self._format).encode())]

    def tell_request(self, number: int) -> None:
        """Let what runs from here on, the log's lines among it, know the request's number."""
        self._trace.request_id = number

    def part(self) -> None:
        """Begin to end: what is asked over gRPC from now on is refused, what is under way is answered."""
        self._inference.part()

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            # Endpoints can be answered once BentoML has made the service object.
            if message["type"] == "lifespan.startup.complete":
                self._start()
                await self._inference.start()
            elif message["type"].startswith("lifespan.shutdown."):
                # The server ends as soon as it hears this.
                await self._stop()
            await send(message)

        async def receiving() -> Message:
            message = await receive()
            # While the service still runs.
            await self._inference.stop()
            return message

        await self.app(scope, receiving, sending)

    def _start(self) -> None:
        self.counters = Counters.of(self.app)
        self.endpoints = plain(self.factory, self._threads, self.settings.waiting)
        self.general = general(self, self._threads)
        if self.journal is not None:
            self.journal.start()
            self._observed = self._logged(self.journal)
        self.patience.start()
        self.presence.start(self.counters)
        # What is there by now stays: each collection that walks over it, torch among it, would take 0.2 s.
        gc.collect()
        gc.freeze()

    def _logged(self, log: Journal) -> App:
        """What is not answered on the short way, with its predictions in the log."""
        paths = {path_of(self.factory, method): method for method in self.factory.service.apis.values()}
        ours = {*self.endpoints, *self.general}
        together = [path for path, method in paths.items() if method.batchable and path not in ours]
        return Observed(self._call, log, {path: method.name for path, method in paths.items()}, together)

    async def _stop(self) -> None:
        # First: what follows may wait for functions that do not end.
        if self.journal is not None:
            self.journal.stop()
        self.patience.stop()
        self.presence.stop()
        if self.counters is not None:
            self.counters.stop()
        await self._threads.stop()

    async def _answer(self, endpoint: Endpoint, body: bytes, scope: Message, receive: Receive, send: Send) -> None:
        number = random.getrandbits(64)
        self.tell_request(number)
        CLIENT.set(client_of(scope))
        assert self.counters is not None
        with self.counters.request(endpoint.path) as counted:
            reply = await self._reply(endpoint, body)
            if isinstance(reply, Response):
                counted.status = reply.status_code
                self.factory._add_response_headers(reply)
                await reply(scope, receive, send)
                return
            counted.status = reply.status
            headers = [*reply.headers(), *(self.named(number) if reply.named else ())]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, endpoint: Endpoint, body: bytes) -> Reply | Response:
        try:
            async with asyncio.timeout(self.timeout):
                return await endpoint.reply(body)
        except TimeoutError:
            return timed_out(self.timeout)
