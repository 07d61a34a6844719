"""Answers, and the ones that BentoML gives to requests that cannot be read and functions that fail."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

_UNEXPECTED = {"error": "An unexpected error has occurred, please check the server log."}


@dataclass
class Reply:
    """An answer.

    Attributes:
        named: with the headers that name the service and the request.
    """

    status: int
    body: bytes
    kind: str
    named: bool = True

    @classmethod
    def json(cls, value: Any, status: int, named: bool = True) -> Reply:
        """As Starlette's `JSONResponse` writes it."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=None, separators=(",", ":"))
        return cls(status, text.encode(), "application/json", named)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Its length and type."""
        return [(b"content-length", str(len(self.body)).encode()), (b"content-type", self.kind.encode())]


def refusal(error: Exception, path: str) -> Reply:
    """The answer to a request that ended in this error, which is logged: the words of BentoML's application."""
    from bentoml.exceptions import BentoMLException
    from pydantic import ValidationError

    logging.getLogger("bentoml.serve").error("Exception on %s [POST]", path, exc_info=error)
    if isinstance(error, ValidationError):
        detail = error.errors(include_context=False, include_input=False)
        return Reply.json({"error": f"{error.error_count()} validation error for {error.title}", "detail": detail}, 400)
    if not isinstance(error, BentoMLException):
        return Reply.json(_UNEXPECTED, 500)
    status = error.error_code.value
    if status in (401, 403):
        return Reply.json({"error": "Authorization error"}, status)
    return Reply.json(_UNEXPECTED if status >= 500 else [{"error": str(error)}], status)
