"""Two steps and one parameter."""

from metaflow import FlowSpec, Parameter, step


class TinyFlow(FlowSpec):
    count = Parameter("count", default=1)

    @step
    def start(self):
        self.twice = 2 * self.count
        self.next(self.end)

    @step
    def end(self):
        self.thrice = 3 * self.count


if __name__ == "__main__":
    TinyFlow()
