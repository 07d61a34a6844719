"""A connection of uvicorn's that has plain JSON requests answered itself: without a scope and messages for each."""

from __future__ import annotations

import asyncio
import random
import re
import time
from functools import lru_cache
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from boxplat.serving.direct import Direct
from boxplat.serving.draining import CLOSE
from boxplat.serving.endpoint import Endpoint
from boxplat.serving.refusal import Reply
from boxplat.serving.short import Short

_MOST_HEAD, _MOST_BODY, _MOST_HEADS = 4096, 2**18, 1024
# The head of a request on the long way.
_MOST_LONG_HEAD = 2**16
# What a client may send ahead of an answer before it is no longer read.
_MOST_HELD = 2**16
# How long what waits is kept for a client that will send no more: it has gone, or has only half closed.
_FAREWELL_SECONDS = 0.01
_END = b"\r\n\r\n"
_TARGET = re.compile(rb"/[\w./-]*")
_JSON = b"application/json"
# Headers with another value in each request; what they say does not change how it is answered.
_VARYING = re.compile(
    rb"\r\n(?:x-request-id|traceparent|tracestate|x-b3-\w+|x-envoy-[\w-]+):[\t\x20-\x7e]*(?=\r\n[^ \t])", re.IGNORECASE
)
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[\t ]*([\x21-\x7e]{1,128})[\t ]*\r\n", re.IGNORECASE)


class Head(NamedTuple):
    """What the head of a plain request tells."""

    path: str
    length: int
    client: str
    # Of a body of the inference protocol: how much of it is JSON.
    inference: int | None


class Connection(HttpToolsProtocol):
    """HTTP/1.1 with a short way for plain requests; all others, and what is wrong, go the long way by the application.

    Attributes:
        since: moment of `time.perf_counter` at which the request that is on its way began to arrive.
        received: bytes of it so far.
        answered: moment of the loop's clock of the last answer on the short way; 0: there was none.
    """

    def __init__(self, config: Any, **states: Any) -> None:
        super().__init__(config, **states)
        self._direct: Direct = config.app
        self._between_requests = True
        # What came while a request is answered on the short way, or the beginning of one.
        self._held = b""
        self._short: Short | None = None
        self._last = False
        self._in_head = False
        self._requests = 0
        self.answered = 0.0
        self.since = 0.0
        self.received = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._arriving(0)

    def data_received(self, data: bytes) -> None:
        held, self._held = self._held, b""
        data = held + data if held else data
        if self._short is not None:
            self._held = data
            if len(data) > _MOST_HELD:
                self.flow.pause_reading()
        elif not self._takes_short_way(data):
            self._long_way(data)

    def _long_way(self, data: bytes) -> None:
        before = self._requests
        super().data_received(data)
        if self._last and self.cycle is not None:
            self.cycle.keep_alive = False
        if not self._between_requests or self._requests == before:
            self._arriving(len(data))
            if self._in_head and self.received > _MOST_LONG_HEAD:
                self._refuse(431)

    def on_message_begin(self) -> None:
        self._between_requests, self._in_head = False, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._between_requests = True
        self._requests += 1
        self._arrived()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._arrived()
        self._between_requests = True
        super().handle_websocket_upgrade()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that sends no more gets the answer to what is being computed."""
        waits = self._between_requests and self.cycle is not None and not self.cycle.response_complete
        if self._short is None and not waits:
            return False
        self._last = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.loop.call_later(_FAREWELL_SECONDS, self._part)
        return True

    def _part(self) -> None:
        if self._short is not None and self._short.waits:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        self._arrived()
        self._unset_keepalive_if_required()
        if self._short is not None:
            self._short.lose()
            self._short = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close when the request under way is answered."""
        self._last = True
        if self._short is None:
            data, self._held = self._held, b""
            if data:
                self._long_way(data)
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless the connection was used on the short way: for that the timer is not set anew."""
        rest = self.answered + self.timeout_keep_alive - self.loop.time()
        if self._short is not None or self._held:
            rest = self.timeout_keep_alive
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def too_slow(self) -> None:
        """The client does not send, or not fast enough: it is told so where nothing was answered yet."""
        if not self.flow.read_paused and not self.transport.is_closing():
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        begun = self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started
        if self.received and not begun:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self._arrived()
        self.transport.close()

    def answer(self, body: bytes, kind: str, number: int) -> None:
        """Send the answer to the request on the short way, and go on with what came meanwhile."""
        head, closes = self._direct.heads.of(self.server_state.default_headers, kind)
        if self._last and not closes:
            self.reply(Reply(200, body, kind), number)
            return
        self._sent(head % (len(body), number) + body, closes)

    def reply(self, reply: Reply, number: int) -> None:
        """The same with any status and headers."""
        headers = [*self.server_state.default_headers, *reply.headers()]
        if reply.named:
            headers += self._direct.named(number)
        closes = CLOSE in headers
        if self._last and not self._held and not closes:
            headers.append(CLOSE)
            closes = True
        lines = [STATUS_LINE[reply.status], *(b"%b: %b\r\n" % line for line in headers), b"\r\n", reply.body]
        self._sent(b"".join(lines), closes)

    def _sent(self, data: bytes, closes: bool) -> None:
        self._short = None
        if self.transport.is_closing():
            return
        self.transport.write(data)
        self.server_state.total_requests += 1
        self.answered = self.loop.time()
        if closes:
            self.transport.close()
            return
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._held:
            self.loop.call_soon(self._go_on)

    def respond(self, app: Any, path: str) -> None:
        """Send what is no plain value (a stream, a file) the way that uvicorn does."""
        self._short = None
        if self.transport.is_closing():
            return
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
        self._start_asgi_task(self.cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._held:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._held and self._short is None and not self.transport.is_closing():
            self.data_received(b"")

    def _takes_short_way(self, data: bytes) -> bool:
        """Begin, or hold, what is one plain request."""
        before, end = self.cycle, data.find(_END, 0, _MOST_HEAD) + len(_END)
        busy = before is not None and not before.response_complete
        if not self._between_requests or busy or self.flow.write_paused or end < len(_END):
            return False
        raw = data[:end]
        head, given = _KNOWN.get(raw), ""
        if head is None:
            head, given = _head(_VARYING.sub(b"", raw)), _given(raw)
        endpoint = self._direct.endpoints.get(head.path) if head is not None else None
        if head is None or endpoint is None or not endpoint.short:
            return False
        whole = end + head.length
        if len(data) < whole:
            self._held = data
            self._arriving(0)
            self.received = len(data)
            return True
        self._held = data[whole:]
        self._arrived()
        self._begin(endpoint, data[end:whole], head, given)
        return True

    def _begin(self, endpoint: Endpoint, body: bytes, head: Head, given: str) -> None:
        endpoint = endpoint.opened(head)
        number, began = random.getrandbits(64), time.perf_counter()
        self._short = short = Short(self, self._direct, endpoint, body, number, given, began)
        short.begin(head.client or (self.client[0] if self.client else ""))

    def _arriving(self, received: int) -> None:
        waiting = self._direct.patience.requests
        if self not in waiting:
            self.since, self.received = time.perf_counter(), 0
            waiting[self] = None
        self.received += received

    def _arrived(self) -> None:
        self._direct.patience.requests.pop(self, None)


# The heads of clients that say the same in each request.
_KNOWN: dict[bytes, Head] = {}


@lru_cache(maxsize=_MOST_HEADS)
def _head(raw: bytes) -> Head | None:
    """The head of a plain JSON request; None for everything else."""
    lines = _Lines()
    parser = httptools.HttpRequestParser(lines)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers = dict(lines.headers)
    length = headers.get(b"content-length", b"")
    inference = headers.get(b"inference-header-content-length")
    kind = headers.get(b"content-type", _JSON).split(b";")[0].strip()
    plain = (
        parser.get_method() == b"POST"
        and _TARGET.fullmatch(lines.target)
        and parser.get_http_version() == "1.1"
        # The parser's own word on the connection is no longer there when the body is empty.
        and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and len(headers) == len(lines.headers)
        and (kind == _JSON or (inference is not None and kind == b"application/octet-stream"))
        and not headers.keys() & {b"expect", b"transfer-encoding", b"content-encoding", b"upgrade"}
        and length.isdigit()
        and (inference is None or inference.isdigit())
    )
    if not plain or int(length) > _MOST_BODY:
        return None
    client = headers.get(b"x-client-id", b"").decode("latin-1")
    head = Head(lines.target.decode("ascii"), int(length), client, None if inference is None else int(inference))
    if len(_KNOWN) < _MOST_HEADS:
        _KNOWN[raw] = head
    return head


def _given(raw: bytes) -> str:
    """The number that the client gave the request."""
    found = _REQUEST_ID.search(raw)
    return found[1].decode("latin-1") if found else ""


class _Lines:
    """What httptools finds in a head."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
