"""A connection that answers plain reads itself: without a task, a scope and messages for each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from boxplat.features.server import http
from boxplat.features.server.forms import READ
from boxplat.features.server.refusal import Refused
from boxplat.serving.http.connection import Connection
from boxplat.serving.http.plain import END, MOST_HEAD, MOST_HEADS, plain

_TARGET = READ.encode()
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n%b"


class ReadConnection(Connection):
    """All other requests, and all that is wrong, go the long way by the application."""

    def __init__(self, config: Any, **states: Any) -> None:
        super().__init__(config, **states)
        self._application: http.Application = config.app

    def _takes(self, data: bytes) -> bool:
        """Answer, or hold, what is one plain read."""
        end = data.find(END, 0, MOST_HEAD) + len(END)
        # Only while the server ends does every answer get a header: the one that says so.
        if end < len(END) or self.server_state.default_headers:
            return False
        known = _head(data[:end])
        if known is None:
            return False
        content_type, length = known
        whole = end + length
        if len(data) < whole:
            self._hold(data)
            return True
        answer = self._application.at_once(content_type, data[end:whole])
        if answer is None:
            return False
        self._held = data[whole:]
        self._arrived()
        self._sent(_ANSWER % (len(answer), answer), closes=False)
        return True


@lru_cache(maxsize=MOST_HEADS)
def _head(raw: bytes) -> tuple[bytes, int] | None:
    """Content type and length of a plain read; None for everything else. A client's heads are the same every time."""
    found = plain(raw)
    if found is None or found.target != _TARGET:
        return None
    try:
        return http.checked(found.headers.items()), found.length
    except Refused:
        return None
