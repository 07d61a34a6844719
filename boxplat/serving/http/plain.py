"""The heads of plain requests: those that are answered without a scope and messages."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import httptools

from boxplat.serving.log.marks import SHADOW, WARMUP

END = b"\r\n\r\n"
MOST_HEAD, MOST_HEADS = 4096, 1024
_MOST_BODY = 2**18
_JSON = b"application/json"
_TARGET = re.compile(rb"/[\w./-]*")
# Headers with another value in each request; what they say does not change how it is answered.
_VARYING = re.compile(
    rb"\r\n(?:x-request-id|traceparent|tracestate|x-b3-\w+|x-envoy-[\w-]+):[\t\x20-\x7e]*(?=\r\n[^ \t])", re.IGNORECASE
)
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[\t ]*([\x21-\x7e]{1,128})[\t ]*\r\n", re.IGNORECASE)


class Plain(NamedTuple):
    """The head of a request that is one body of a known length on a connection that stays."""

    target: bytes
    headers: dict[bytes, bytes]
    length: int


class Head(NamedTuple):
    """What the head of a plain request to an API tells.

    Attributes:
        inference: of a body of the inference protocol: how much of it is JSON.
        accepts: ways to compress the answer that the client takes.
    """

    path: str
    length: int
    client: str
    inference: int | None
    accepts: str


# The heads of clients that say the same in each request.
_KNOWN: dict[bytes, Head] = {}


def head_of(raw: bytes) -> tuple[Head | None, str]:
    """What a head tells, None for one of no plain request; and the number that the client gave the request."""
    if raw.startswith(b"\r\n"):
        return None, ""
    head = _KNOWN.get(raw)
    if head is not None:
        return head, ""
    return _head(_VARYING.sub(b"", raw)), _given(raw)


def plain(raw: bytes) -> Plain | None:
    """The head of a plain POST request; None for everything else."""
    lines = _Lines()
    parser = httptools.HttpRequestParser(lines)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers = dict(lines.headers)
    length = headers.get(b"content-length", b"")
    is_plain = (
        parser.get_method() == b"POST"
        and _TARGET.fullmatch(lines.target)
        and parser.get_http_version() == "1.1"
        # The parser's own word on the connection is no longer there when the body is empty.
        and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and len(headers) == len(lines.headers)
        and not headers.keys() & {b"expect", b"transfer-encoding", b"content-encoding", b"upgrade"}
        and length.isdigit()
        and int(length) <= _MOST_BODY
    )
    return Plain(lines.target, headers, int(length)) if is_plain else None


@lru_cache(maxsize=MOST_HEADS)
def _head(raw: bytes) -> Head | None:
    """The head of a plain request to an API; None for everything else."""
    found = plain(raw)
    if found is None or found.headers.keys() & {SHADOW, WARMUP}:
        return None
    headers = found.headers
    inference = headers.get(b"inference-header-content-length")
    kind = headers.get(b"content-type", _JSON).split(b";")[0].strip()
    if kind != _JSON and (inference is None or kind != b"application/octet-stream"):
        return None
    if inference is not None and not inference.isdigit():
        return None
    client = headers.get(b"x-client-id", b"").decode("latin-1")
    accepts = headers.get(b"accept-encoding", b"").decode("latin-1")
    raw_after = None if inference is None else int(inference)
    head = Head(found.target.decode("ascii"), found.length, client, raw_after, accepts)
    if len(_KNOWN) < MOST_HEADS:
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
