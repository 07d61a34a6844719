"""Fails in its second step."""

from metaflow import FlowSpec, step


class FailsFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        raise ValueError("the oven is cold")


if __name__ == "__main__":
    FailsFlow()
