"""Answers to requests that cannot be served, in the form that Feast's clients know."""

from __future__ import annotations

import json
from typing import Any

from boxplat.core.errors import BoxError, ExitCode

BAD_REQUEST, FORBIDDEN, NOT_FOUND, NO_METHOD = 400, 403, 404, 405
CONFLICT, TOO_LARGE, UNPROCESSABLE = 409, 413, 422
SERVER_ERROR, NOT_IMPLEMENTED, UNAVAILABLE = 500, 501, 503
_CODES = {ExitCode.USAGE: BAD_REQUEST, ExitCode.NOT_FOUND: NOT_FOUND}


class Refused(Exception):
    """A request that gets an error for an answer.

    Args:
        content: sent as JSON; Feast's server sends the text of an exception.
    """

    def __init__(self, status: int, content: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(content)
        self.status = status
        self.headers = headers
        self.body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def of_feast(status: int, name: str, message: str) -> Refused:
    """As Feast tells one of its own exceptions: its client raises that class again."""
    return Refused(status, json.dumps({"module": "feast.errors", "class": name, "message": message}))


def of_box(error: BoxError) -> Refused:
    """One of our own errors: the caller's mistake is 400 or 404, all else is ours."""
    return Refused(_CODES.get(error.code, SERVER_ERROR), f"{error.what}: {error.why}; {error.fix}")


def no_such() -> Refused:
    """There is nothing at this path."""
    return Refused(NOT_FOUND, {"detail": "Not Found"})


def no_method(allowed: str) -> Refused:
    """The path knows other methods only."""
    return Refused(NO_METHOD, {"detail": "Method Not Allowed"}, ((b"allow", allowed.encode()),))
