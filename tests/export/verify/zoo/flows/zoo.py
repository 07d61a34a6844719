"""Everything that changes how a flow is run: branch, foreach, retry, catch, time-out, `@parallel`, odd parameters.

For the word mlflow in a file of flows the exported tracking server runs beside them, log-in and all.
"""

import random
from dataclasses import dataclass

from metaflow import FlowSpec, JSONType, Parameter, catch, current, environment, parallel, retry, step, timeout


@dataclass
class Count:
    """An object of a class of the flow's own."""

    total: int
    share: float


class ZooFlow(FlowSpec):
    """One step of each kind, in as few tasks as it takes."""

    n = Parameter("n", default="1e3", help="YAML 1.1 takes the name for a boolean and the value for a number")
    words = Parameter("words", default="ünï $HOME `x` 'y' \"z\"")
    table = Parameter("table", type=JSONType, default='{"off": [0, null, true]}')

    @step
    def start(self):
        self.seen = f"{self.n}|{self.words}|{self.table}"
        self.next(self.risky, self.rows, self.team)

    @catch(var="failure", print_exception=False)
    @timeout(seconds=600)
    @environment(vars={"MODE": "o$n"})
    @step
    def risky(self):
        import os

        self.mode = os.environ["MODE"]
        if self.mode:
            raise ValueError("caught")
        self.next(self.meet)

    @step
    def rows(self):
        self.items = ["a", "b"]
        self.next(self.row, foreach="items")

    @retry(times=2, minutes_between_retries=1)
    @step
    def row(self):
        if current.retry_count == 0 and self.input == "a":
            raise RuntimeError("the first attempt fails")
        self.cell = f"{self.input}-{self.index}"
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.cells = sorted(one.cell for one in inputs)
        self.count = Count(len(self.cells), 1 / 3)
        self.chance = random.random()
        self.next(self.meet)

    @step
    def team(self):
        self.next(self.gang, num_parallel=2)

    @parallel
    @step
    def gang(self):
        self.place = current.parallel.node_index
        self.next(self.end_of_gang)

    @step
    def end_of_gang(self, inputs):
        self.places = sorted(one.place for one in inputs)
        self.next(self.meet)

    @step
    def meet(self, inputs):
        self.all = [inputs.gather.cells, inputs.end_of_gang.places, str(inputs.risky.failure.exception)]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ZooFlow()
