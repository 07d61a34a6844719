"""A connection of uvicorn's that parts with clients that send too slowly, too much or nothing."""

from __future__ import annotations

import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from boxplat.serving.http.patience import Patience

_MOST_HEAD = 2**16
# What a client may send ahead of an answer before it is no longer read.
_MOST_HELD = 2**16
# How long what waits is kept for a client that will send no more: it has gone, or has only half closed.
_HALF_CLOSED_SECONDS = 0.01


class Connection(HttpToolsProtocol):
    """HTTP/1.1, with room for a short way: requests that a subclass answers itself (`_takes`), as their bytes arrive.

    Attributes:
        received: bytes of the request that is on its way.
        answered: moment of the loop's clock of the last answer on the short way; 0: there was none.
    """

    def __init__(self, config: Any, **states: Any) -> None:
        super().__init__(config, **states)
        self._patience: Patience = config.app.patience
        # What came while a request is answered on the short way, or the beginning of one.
        self._held = b""
        self._between_requests = True
        self._last = False
        self._in_head = False
        self._head_bytes = 0
        self._requests = 0
        self.answered = 0.0
        self.received = 0

    def _takes(self, data: bytes) -> bool:
        """Whether the short way takes what arrived between two requests: to answer it, or to hold it."""
        return False

    @property
    def _is_taken(self) -> bool:
        """A request is being answered on the short way, in more than one turn of the loop."""
        return False

    def _part(self) -> None:
        """The client sends no more: nothing that only waits need be computed."""

    def _hold(self, data: bytes) -> None:
        """Wait for the rest of a request of the short way."""
        self._held = data
        self._arriving(0)
        self.received = len(data)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._arriving(0)

    def data_received(self, data: bytes) -> None:
        held, self._held = self._held, b""
        data = held + data if held else data
        if self._is_taken:
            self._held = data
            if len(data) > _MOST_HELD:
                self.flow.pause_reading()
        elif not (self._is_free() and self._takes(data)):
            self._long_way(data)

    def _is_free(self) -> bool:
        before = self.cycle
        return self._between_requests and (before is None or before.response_complete) and not self.flow.write_paused

    def _long_way(self, data: bytes) -> None:
        before = self._requests
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._last and self.cycle is not None:
            self.cycle.keep_alive = False
        if not self._between_requests or self._requests == before:
            self._arriving(len(data))
            if self._requests != before:
                # Most of these bytes were of the requests before.
                self.received = 0
            if self._head_bytes > _MOST_HEAD or (self._in_head and self.received > _MOST_HEAD):
                self._refuse(431)

    def on_message_begin(self) -> None:
        self._between_requests, self._in_head, self._head_bytes = False, True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Those after a chunked body come here too.
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > _MOST_HEAD:
            # For the parser to end here: a request without its last headers would be another one.
            raise ValueError("the head is too large")
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        if self._head_bytes > _MOST_HEAD:
            self._refuse(431)
        else:
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._between_requests = True
        self._requests += 1
        self._arrived()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        if self.scope["method"] != "GET":
            self.send_400_response("Invalid HTTP request received.")
            return
        self._arrived()
        self._between_requests = True
        super().handle_websocket_upgrade()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that sends no more gets the answer to what is being computed."""
        waits = self._between_requests and self.cycle is not None and not self.cycle.response_complete
        if not self._is_taken and not waits:
            return False
        self._last = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.loop.call_later(_HALF_CLOSED_SECONDS, self._part)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        self._arrived()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close when the request under way is answered."""
        self._last = True
        if not self._is_taken:
            data, self._held = self._held, b""
            if data:
                self._long_way(data)
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless the connection was used on the short way: for that the timer is not set anew."""
        rest = self.answered + self.timeout_keep_alive - self.loop.time()
        if self._is_taken or self._held:
            rest = self.timeout_keep_alive
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    @property
    def is_answered(self) -> bool:
        """The request that is on its way has its answer already."""
        return not self._in_head and not self._between_requests and self.cycle.response_complete

    def too_slow(self) -> None:
        """The client does not send, or not fast enough: it is told so where nothing was answered yet."""
        if self.transport.is_closing():
            return
        if self.flow.read_paused or self._owes_answer:
            self._patience.requests[self] = time.perf_counter(), self.received
            return
        self._refuse(408)

    @property
    def _owes_answer(self) -> bool:
        """A request before the one that is on its way has no answer yet."""
        return self._in_head and self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int) -> None:
        in_body = not self._in_head and not self._between_requests
        if (
            not self._owes_answer
            and not (in_body and self.cycle.response_started)
            and (self.received or self._head_bytes)
        ):
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self._arrived()
        self.transport.close()

    def _sent(self, data: bytes, closes: bool) -> None:
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

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._held:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._held and not self._is_taken and not self.transport.is_closing():
            self.data_received(b"")

    def _arriving(self, received: int) -> None:
        waiting = self._patience.requests
        if self not in waiting:
            self.received = 0
            waiting[self] = time.perf_counter(), 0
        self.received += received

    def _arrived(self) -> None:
        self._patience.requests.pop(self, None)
