"""What a client of the inference protocol is told when a request cannot be answered."""

from __future__ import annotations

import logging
from http import HTTPStatus

from boxplat.serving.http.refusal import Reply

_UNEXPECTED = "An unexpected error has occurred, please check the server log."


class InferenceError(Exception):
    """A request that is refused.

    Attributes:
        status: as HTTP counts; gRPC's code is made from it.
        retry_after: seconds after which the client may ask again; None where that would not help.
    """

    def __init__(self, message: str, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after

    def reply(self) -> Reply:
        """As it is told over HTTP."""
        return Reply.json({"error": self.message}, self.status, retry_after=self.retry_after)


def refused(error: Exception, model: str) -> InferenceError:
    """What became of a request that ended in this error; the server's own failures are logged and not told."""
    from bentoml.exceptions import BentoMLException
    from pydantic import ValidationError

    if isinstance(error, InferenceError):
        return error
    if not hasattr(error, "expected"):
        logging.getLogger("bentoml.serve").error("Exception on model %s", model, exc_info=error)
    if isinstance(error, ValidationError):
        return InferenceError(_said(error))
    if isinstance(error, TimeoutError):
        return InferenceError("the request was not answered in time", HTTPStatus.GATEWAY_TIMEOUT)
    if not isinstance(error, BentoMLException):
        return InferenceError(_UNEXPECTED, HTTPStatus.INTERNAL_SERVER_ERROR)
    status = error.error_code.value
    after = getattr(error, "retry_after", None)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return InferenceError("Authorization error", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and after is None:
        return InferenceError(_UNEXPECTED, status)
    return InferenceError(str(error), status, after)


def _said(error: object) -> str:
    """A validation error in one line: where, and why; never what the client sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)  # type: ignore[attr-defined]
    lines = [f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['msg']}" for one in found]
    return "; ".join(lines)
