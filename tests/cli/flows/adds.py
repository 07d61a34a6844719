"""Adds up to n."""

from metaflow import FlowSpec, Parameter, step


class AddsFlow(FlowSpec):
    n = Parameter("n", default=3, type=int, help="how far")

    @step
    def start(self):
        self.total = sum(range(self.n + 1))
        self.next(self.end)

    @step
    def end(self):
        print("total is", self.total)


if __name__ == "__main__":
    AddsFlow()
