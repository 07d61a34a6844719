"""Leaves artifacts: one of its own, one that many runs share, and an included file."""

from metaflow import FlowSpec, IncludeFile, Parameter, current, step


class MakesFlow(FlowSpec):
    n = Parameter("n", default=0, type=int)
    words = IncludeFile("words", default="flows/words.txt")

    @step
    def start(self):
        self.shared = list(range(20_000))
        self.payload = f"{self.n}-{current.run_id} " * 20_000
        self.next(self.end)

    @step
    def end(self):
        print(len(self.words), len(self.payload))


if __name__ == "__main__":
    MakesFlow()
