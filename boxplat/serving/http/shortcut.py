"""Plain requests to an endpoint, answered by their connection: without a scope, a task and messages for each."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from boxplat.serving.direct import Direct
from boxplat.serving.endpoint import Endpoint
from boxplat.serving.http.connection import Connection
from boxplat.serving.http.draining import CLOSE
from boxplat.serving.http.plain import END, MOST_HEAD, Head, head_of
from boxplat.serving.http.refusal import Reply
from boxplat.serving.http.short import Short


class Shortcut(Connection):
    """All other requests, and what is wrong, go the long way by the application."""

    def __init__(self, config: Any, **states: Any) -> None:
        super().__init__(config, **states)
        self._direct: Direct = config.app
        self._short: Short | None = None

    @property
    def _is_taken(self) -> bool:
        return self._short is not None

    def connection_lost(self, exc: Exception | None) -> None:
        short, self._short = self._short, None
        if short is not None:
            short.lose()
        super().connection_lost(exc)

    def answer(self, body: bytes, kind: str, number: int) -> None:
        """Send the answer to the request on the short way, and go on with what came meanwhile."""
        self._short = None
        head, closes = self._direct.heads.of(self.server_state.default_headers, kind)
        if self._last and not closes:
            self.reply(Reply(200, body, kind), number)
            return
        self._sent(head % (len(body), number) + body, closes)

    def reply(self, reply: Reply, number: int) -> None:
        """The same with any status and headers."""
        self._short = None
        headers = [*self.server_state.default_headers, *reply.headers()]
        if reply.named:
            headers += self._direct.named(number)
        closes = CLOSE in headers
        if self._last and not self._held and not closes:
            headers.append(CLOSE)
            closes = True
        lines = [STATUS_LINE[reply.status], *(b"%b: %b\r\n" % line for line in headers), b"\r\n", reply.body]
        self._sent(b"".join(lines), closes)

    def respond(self, app: Any, path: str) -> None:
        """Send what is no plain value (a stream, a file) the way that uvicorn does."""
        if self.transport.is_closing():
            # What is lost with the connection ends there.
            return
        self._short = None
        scope: Any = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "headers": []}
        scope |= {"client": self.client, "server": self.server}
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not self._last,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body = False
        # As uvicorn does when a request arrives; the end of the answer sets it anew.
        self._unset_keepalive_if_required()
        self._start_asgi_task(self.cycle, app)

    def _part(self) -> None:
        if self._short is not None and self._short.waits:
            self.transport.close()

    def _takes(self, data: bytes) -> bool:
        """Begin, or hold, what is one plain request."""
        end = data.find(END, 0, MOST_HEAD) + len(END)
        if end < len(END):
            return False
        head, given = head_of(data[:end])
        endpoint = self._direct.endpoints.get(head.path) if head is not None else None
        if head is None or endpoint is None:
            return False
        whole = end + head.length
        if len(data) < whole:
            self._hold(data)
            return True
        self._held = data[whole:]
        self._arrived()
        self._begin(endpoint, data[end:whole], head, given)
        return True

    def _begin(self, endpoint: Endpoint, body: bytes, head: Head, given: str) -> None:
        if endpoint.for_head is not None:
            endpoint = endpoint.for_head(head)
        number, began = random.getrandbits(64), time.perf_counter()
        self._short = short = Short(self, self._direct, endpoint, body, number, given, began)
        short.begin(head.client or (self.client[0] if self.client else ""))
