"""Tasks that are asked for and fetched later."""

import bentoml


@bentoml.service
class Tasks:
    @bentoml.task
    def square(self, n: int) -> int:
        return n * n

    @bentoml.api
    def now(self, n: int) -> int:
        return n
