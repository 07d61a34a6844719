"""A connection of uvicorn's that answers plain reads itself: without a task, a scope and messages for each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from boxplat.features.server import http
from boxplat.features.server.forms import READ
from boxplat.features.server.refusal import Refused

# How long the rest of a body is waited for here; the application refuses bodies that take too long.
_REST_SECONDS = 1.0
_MOST_HEAD, _MOST_BODY, _MOST_HEADS = 4096, 65536, 1024
_TARGET = READ.encode()
_END = b"\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n%b"


class Head(NamedTuple):
    """What the head of a plain read tells."""

    content_type: bytes
    length: int


class Connection(HttpToolsProtocol):
    """HTTP/1.1 with a short way for plain reads; all others, and all that is wrong, go the long way by the application.

    A connection's first request goes the long way too: uvicorn tells by its traces whether there has been one.
    """

    def __init__(self, config: Any, **states: Any) -> None:
        super().__init__(config, **states)
        self._application: http.Application = config.app
        self._between_requests = True
        # A plain read whose body is not all here.
        self._held = b""
        self._answered = 0.0

    def data_received(self, data: bytes) -> None:
        held, self._held = self._held, b""
        if held:
            self._unset_keepalive_if_required()
            data = held + data
        if not self._takes_short_way(data, may_hold=not held):
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._between_requests = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close when the request under way is answered."""
        self._let_go()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless there was an answer on the short way: for those the timer is not set anew."""
        rest = self._answered + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _takes_short_way(self, data: bytes, *, may_hold: bool) -> bool:
        """Answer, or hold, data that is one plain read. Held once, it must be whole: nobody sends it byte by byte."""
        before, end = self.cycle, data.find(_END, 0, _MOST_HEAD) + len(_END)
        if not self._between_requests or before is None or not before.response_complete or self.flow.write_paused:
            return False
        if self.server_state.default_headers:
            # Only while the server ends does every answer get a header: the one that says so.
            return False
        head = _head(data[:end]) if end >= len(_END) else None
        if head is None or len(data) > end + head.length:
            return False
        if len(data) < end + head.length:
            if may_hold:
                self._hold(data)
            return may_hold
        answer = self._application.at_once(head.content_type, data[end:])
        if answer is None:
            return False
        self.transport.write(_ANSWER % (len(answer), answer))
        self._answered = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.on_response_complete()
        return True

    def _hold(self, data: bytes) -> None:
        self._held = data
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(_REST_SECONDS, self._let_go)

    def _let_go(self) -> None:
        """Send what is held the long way."""
        data, self._held = self._held, b""
        if data:
            super().data_received(data)


@lru_cache(maxsize=_MOST_HEADS)
def _head(raw: bytes) -> Head | None:
    """The head of a plain read; None for everything else. A client's heads are the same again and again."""
    lines = _Lines()
    parser = httptools.HttpRequestParser(lines)
    try:
        parser.feed_data(raw)
        content_type = http.checked(lines.headers)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade, Refused):
        return None
    names = [name for name, _ in lines.headers]
    length = dict(lines.headers).get(b"content-length", b"")
    plain = (
        lines.target == _TARGET
        and parser.get_method() == b"POST"
        and parser.get_http_version() == "1.1"
        and parser.should_keep_alive()
        and not parser.should_upgrade()
        and names.count(b"content-length") == 1
        and not {b"expect", b"transfer-encoding"} & set(names)
        and length.isdigit()
    )
    return Head(content_type, int(length)) if plain and int(length) <= _MOST_BODY else None


class _Lines:
    """What httptools finds in a head."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
