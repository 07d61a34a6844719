"""The heads of answers, made once for a content type and a second."""

from __future__ import annotations

from boxplat.serving.http.draining import CLOSE

Headers = list[tuple[bytes, bytes]]


class Heads:
    """Heads of answers with status 200, in the order in which uvicorn sends BentoML's headers.

    Args:
        server: the value of `server`.
        form: how the request's number is written (`016x`).
    """

    def __init__(self, server: bytes, form: str) -> None:
        self._server = server
        self._form = form.encode()
        self._default: Headers | None = None
        self._made: dict[str, tuple[bytes, bool]] = {}

    def of(self, default: Headers, kind: str) -> tuple[bytes, bool]:
        """A template for the body's length and the request's number, and whether the connection ends with the answer.

        Args:
            default: uvicorn's headers, a new list each second.
        """
        if default is not self._default:
            self._default, self._made = default, {}
        if kind not in self._made:
            self._made[kind] = self._of(default, kind), CLOSE in default
        return self._made[kind]

    def _of(self, default: Headers, kind: str) -> bytes:
        lines = [b"HTTP/1.1 200 OK", *(b"%b: %b" % line for line in default)]
        around = b"\r\n".join(lines).replace(b"%", b"%%") + b"\r\ncontent-length: %d\r\n"
        named = b"content-type: %b\r\nserver: %b\r\n" % (kind.encode(), self._server)
        return around + named.replace(b"%", b"%%") + b"x-bentoml-request-id: %" + self._form + b"\r\n\r\n"
