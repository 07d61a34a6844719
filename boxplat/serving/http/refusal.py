"""Answers, and the ones that BentoML gives to requests that cannot be read and functions that fail."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

_UNEXPECTED = {"error": "An unexpected error has occurred, please check the server log."}


@dataclass
class Reply:
    """An answer.

    Attributes:
        named: with the headers that name the service and the request.
        more: headers besides.
    """

    status: int
    body: bytes
    kind: str
    named: bool = True
    more: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def json(cls, value: Any, status: int, named: bool = True, retry_after: float | None = None) -> Reply:
        """As Starlette's `JSONResponse` writes it.

        Args:
            retry_after: seconds.
        """
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=None, separators=(",", ":"))
        more = () if retry_after is None else ((b"retry-after", str(retry_after).encode()),)
        return cls(status, text.encode(), "application/json", named, more)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Its own: length, type and what is besides."""
        return [
            (b"content-length", str(len(self.body)).encode()),
            (b"content-type", self.kind.encode()),
            *self.more,
        ]

    def response(self) -> Response:
        """The same for Starlette."""
        return Response(self.body, self.status, {name.decode(): text.decode() for name, text in self.headers()})


def refusal(error: BaseException, path: str) -> Reply:
    """The answer to a request that ended in this error, which is logged: the words of BentoML's application."""
    from bentoml.exceptions import BentoMLException
    from pydantic import ValidationError

    if not hasattr(error, "expected"):
        # One line for each refused request would be the next overload.
        logging.getLogger("bentoml.serve").error("Exception on %s [POST]", path, exc_info=error)
    if isinstance(error, ValidationError):
        detail = error.errors(include_context=False, include_input=False)
        return Reply.json({"error": f"{error.error_count()} validation error for {error.title}", "detail": detail}, 400)
    if not isinstance(error, BentoMLException):
        return Reply.json(_UNEXPECTED, 500)
    status = error.error_code.value
    after = getattr(error, "retry_after", None)
    if after is not None:
        return Reply.json({"error": str(error)}, status, retry_after=after)
    if status in (401, 403):
        return Reply.json({"error": "Authorization error"}, status)
    return Reply.json(_UNEXPECTED if status >= 500 else [{"error": str(error)}], status)


def timed_out(seconds: float) -> Reply:
    """The answer of BentoML's timeout middleware."""
    return Reply.json({"error": f"Not able to process the request in {seconds} seconds"}, 504, named=False)
