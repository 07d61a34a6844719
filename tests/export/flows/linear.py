"""The smallest flow, with a parameter whose name YAML 1.1 reads as a boolean."""

from metaflow import FlowSpec, Parameter, step


class LinearFlow(FlowSpec):
    """Two steps."""

    n = Parameter("n", default="1e3", help="a text that looks like a number")
    y = Parameter("y", default=0.5)

    @step
    def start(self):
        self.value = f"{self.n}:{self.y}"
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    LinearFlow()
