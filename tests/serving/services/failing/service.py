"""Errors of every kind."""

from http import HTTPStatus

import bentoml
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound, ServiceUnavailable


class Teapot(BentoMLException):
    error_code = HTTPStatus.IM_A_TEAPOT


class Locked(BentoMLException):
    error_code = HTTPStatus.FORBIDDEN


@bentoml.service
class Failing:
    @bentoml.api
    def fail(self, how: str) -> dict:
        raise {
            "value": ValueError("value"),
            "argument": InvalidArgument("wrong \u00e9 argument"),
            "missing": NotFound("nothing"),
            "busy": ServiceUnavailable("busy"),
            "teapot": Teapot("short and stout"),
            "locked": Locked("go away"),
            "assert": AssertionError("no"),
            "stop": StopIteration("stop"),
            "timeout": TimeoutError("late"),
        }[how]

    @bentoml.api
    def wrong_output(self) -> list[int]:
        return ["x"]

    @bentoml.api
    def unserialisable(self) -> dict:
        return {"x": object()}
