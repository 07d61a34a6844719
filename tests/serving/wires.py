"""Requests as bytes, for the service `scalars`: each ends its connection, or is refused, whichever server gets it."""

from __future__ import annotations

import gzip

from tests.serving.sockets import chunked, request

ONE = b'{"a":1}'
JSON = b"Content-Type: application/json"
_HEAD = b"POST /add HTTP/1.1\r\nHost: x\r\n"


def _given(*heads: bytes, body: bytes = ONE) -> bytes:
    """A request with these lines in its head and no others."""
    return _HEAD + b"".join(line + b"\r\n" for line in heads) + b"\r\n" + body


def _asked(body: bytes, *heads: bytes) -> bytes:
    return request("/add", body, (JSON, *heads))


_BODIES = {
    "byte order mark": b"\xef\xbb\xbf" + ONE,
    "utf-16": ONE.decode().encode("utf-16"),
    "utf-32": ONE.decode().encode("utf-32-le"),
    "latin-1": b'{"a":1,"\xe9":2}',
    "the same key twice": b'{"a":1,"a":2}',
    "an integer of 5,000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "a float beyond all": b'{"a":1,"b":1e999}',
    "infinity": b'{"a":1,"b":-Infinity}',
    "100,000 brackets": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 braces": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a comment": b'{"a":1} // x',
    "single quotes": b"{'a':1}",
    "a comma too many": b'{"a":1,}',
    "a leading zero": b'{"a":01}',
    "a zero byte": b'{"a":1}\x00',
    "half an escape": b'{"a":"\\u12',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "spaces only": b" \r\n\t ",
    "half a megabyte": b'{"a":1,"x":"' + b"x" * 2**19 + b'"}',
}

_HEADS = {
    "no content type": request("/add", ONE, ()),
    "two content types": request("/add", ONE, (JSON, b"Content-Type: text/plain")),
    "two content types, JSON last": request("/add", ONE, (b"Content-Type: text/plain", JSON)),
    "a pickle second": _asked(ONE, b"Content-Type: application/vnd.bentoml+pickle"),
    "a pickle first": request("/add", ONE, (b"Content-Type: application/vnd.bentoml+pickle", JSON)),
    "spaces around the type": request("/add", ONE, (b"Content-Type:   application/json  ;x",)),
    "an odd name": request("/add", ONE, (b"cOnTeNt-TyPe: application/json",)),
    "gzip that nobody unpacks": _asked(gzip.compress(ONE, mtime=0), b"Content-Encoding: gzip"),
    "a trace": _asked(ONE, b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    "from a proxy": _asked(ONE, b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https", b"X-Request-Id: abc"),
    "100 headers": _asked(ONE, *(b"X-%d: %d" % (n, n) for n in range(100))),
    "expecting 100": _asked(ONE, b"Expect: 100-continue"),
    "expecting something": _asked(ONE, b"Expect: something"),
    "a folded line": _given(b"X: a", b" b", b"Content-Length: 7"),
    "a space before the colon": _given(b"X : a", b"Content-Length: 7"),
    "a zero byte in a value": _given(b"X: a\0b", b"Content-Length: 7"),
    "a request's id": _asked(ONE, b"X-Request-Id: a-b"),
    "a zero byte in a request's id": _given(b"X-Request-Id: a\0b", b"Content-Length: 7"),
    "a space after a request's id": _given(b"X-Request-Id : a", b"Content-Length: 7"),
    "a folded request's id": _given(b"X-Request-Id: a", b" b", b"Content-Length: 7"),
    "a request's id of 8-bit letters": _given(b"X-Request-Id: \xe9\xff", b"Connection: close", b"Content-Length: 7"),
    "a trace without a value": _asked(ONE, b"traceparent:"),
    "close among others": _given(b"Connection: x, Close ,y", b"Content-Length: 7"),
    "close and no body": _given(b"Connection: close", b"Content-Length: 0", body=b""),
    "an upgrade and no body": _given(b"Connection: close, upgrade", b"Upgrade: h2c", b"Content-Length: 0", body=b""),
    "connection twice": _given(b"Connection: keep-alive", b"Connection: close", b"Content-Length: 7"),
    "no host": b"POST /add HTTP/1.1\r\nConnection: close\r\nContent-Length: 7\r\n\r\n" + ONE,
    "lines without a return": b"POST /add HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 7\n\n" + ONE,
}

_PATHS = {
    "escaped": request("/%61dd", ONE),
    "a slash too many": request("//add", ONE),
    "up and down": request("/x/../add", ONE),
    "a query": request("/add?a=2", ONE),
    "a fragment": request("/add#x", ONE),
    "unicode": request("/add\u00e9", ONE),
    "escaped unicode": request("/add%C3%A9", ONE),
    "escaped badly": request("/add%zz", ONE),
    "with a host": request("http://h/add", ONE),
    "with a port": request("http://h:99/add?x", ONE),
    "all": request("*", b"", (), b"OPTIONS"),
    "long": request("/add" + "x" * 5000, ONE),
}

_METHODS = {
    name.decode(): request("/add", b"", (), name)
    for name in (b"OPTIONS", b"HEAD", b"PATCH", b"TRACE", b"DELETE", b"FOO", b"get", b"PRI", b"CONNECT")
}

_LENGTHS = {
    "none": _given(b"Connection: close"),
    "zero": _given(b"Connection: close", b"Content-Length: 0", body=b""),
    "twice": _given(b"Content-Length: 7", b"Content-Length: 7"),
    "twice and different": _given(b"Content-Length: 7", b"Content-Length: 8"),
    "negative": _given(b"Content-Length: -7"),
    "signed": _given(b"Content-Length: +7"),
    "a list": _given(b"Content-Length: 7, 7"),
    "in words": _given(b"Content-Length: seven"),
    "hexadecimal": _given(b"Content-Length: 0x7"),
    "of 23 digits": _given(b"Content-Length: " + b"9" * 23),
    "and chunks": _given(b"Content-Length: 7", b"Transfer-Encoding: chunked", body=b'7\r\n{"a":1}\r\n0\r\n\r\n'),
    "after chunks": _given(b"Transfer-Encoding: chunked", b"Content-Length: 7", body=b'7\r\n{"a":1}\r\n0\r\n\r\n'),
    "and identity": _given(b"Transfer-Encoding: identity", b"Content-Length: 7"),
    "chunked, then identity": _given(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "xchunked": _given(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked by a tab": _given(b"Transfer-Encoding:\tchunked", b"Connection: close", body=b"0\r\n\r\n"),
}

_CHUNKS = {
    "three": chunked("/add", b'{"a', b'":', b"1}"),
    "none at all": chunked("/add"),
    "byte by byte": chunked("/add", *(bytes([byte]) for byte in ONE)),
    "with extensions": _given(
        b"Transfer-Encoding: chunked", b"Connection: close", body=b'7;x=y\r\n{"a":1}\r\n0;z\r\n\r\n'
    ),
    "with trailers": _given(
        b"Transfer-Encoding: chunked", b"Connection: close", body=b'7\r\n{"a":1}\r\n0\r\nContent-Length: 3\r\n\r\n'
    ),
    "of no size": _given(b"Transfer-Encoding: chunked", body=b'\r\n{"a":1}\r\n0\r\n\r\n'),
    "of a wrong size": _given(b"Transfer-Encoding: chunked", body=b'3\r\n{"a":1}\r\n0\r\n\r\n'),
    "of a negative size": _given(b"Transfer-Encoding: chunked", body=b'-7\r\n{"a":1}\r\n0\r\n\r\n'),
    "of a huge size": _given(b"Transfer-Encoding: chunked", body=b"f" * 20 + b'\r\n{"a":1}\r\n0\r\n\r\n'),
    "of letters": _given(b"Transfer-Encoding: chunked", body=b'zz\r\n{"a":1}\r\n0\r\n\r\n'),
}

_VERSIONS = {
    "1.0": b"POST /add HTTP/1.0\r\nContent-Length: 7\r\n\r\n" + ONE,
    "1.0, to be kept": b"POST /add HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\n" + ONE,
    "1.2": b"POST /add HTTP/1.2\r\nConnection: close\r\nContent-Length: 7\r\n\r\n" + ONE,
    "9.9": b"POST /add HTTP/9.9\r\nConnection: close\r\nContent-Length: 7\r\n\r\n" + ONE,
    "0.9": b"GET /livez\r\n\r\n",
    "2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "none": b"\x00\x01\x02garbage\r\n\r\n",
    "web socket": _given(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        body=b"",
    ).replace(b"POST", b"GET", 1),
}

_ASK = request("/add", ONE, close=False)
_TURNS = {
    "equal ones": _ASK * 20 + request("/add", ONE),
    "of many kinds": b"".join(
        [
            _ASK,
            request("/no", ONE, close=False),
            chunked("/add", b'{"a', b'":2}', close=False),
            request("/add", b"{", close=False),
            request("/livez", b"", (), b"GET", close=False),
            request("/untyped", b'{"value":3}', close=False),
            request("/add", ONE, (b"Content-Type: multipart/form-data; boundary=b",), close=False),
            request("/nothing", b"", close=False),
            request("/add", ONE),
        ]
    ),
    "and then after the last": request("/add", ONE) + _ASK,
    "with empty lines between": _ASK + b"\r\n\r\n" + request("/add", ONE),
}

WIRES: dict[str, bytes] = {
    f"{kind}: {name}": found
    for kind, group in {
        "body": {name: _asked(body) for name, body in _BODIES.items()},
        "head": _HEADS,
        "path": _PATHS,
        "method": _METHODS,
        "length": _LENGTHS,
        "chunks": _CHUNKS,
        "version": _VERSIONS,
        "turns": _TURNS,
    }.items()
    for name, found in group.items()
}
