"""Two parallel nodes, then a step that fails until a file is there: for failure, @parallel and resume.

Its log is crowded, as on a slow machine: the threads that clone tasks pause after every piece of a line, so that they
write into each other's lines.
"""

import os
import threading

from metaflow import FlowSpec, Parameter, current, parallel, step
from metaflow._vendor import click

secho = click.secho


def crowded(*args, **kwargs):
    secho(*args, **kwargs)
    if threading.current_thread() is not threading.main_thread():
        threading.Event().wait(0.02)


click.secho = crowded


class ResumableFlow(FlowSpec):
    gate = Parameter("gate", default="gate")

    @step
    def start(self):
        self.base = 3
        self.next(self.train, num_parallel=2)

    @parallel
    @step
    def train(self):
        self.node = current.parallel.node_index
        self.next(self.join)

    @step
    def join(self, inputs):
        self.nodes = sum(1 for _ in inputs)
        self.base = inputs[0].base
        self.next(self.fragile)

    @step
    def fragile(self):
        if not os.path.exists(self.gate):
            raise FileNotFoundError(f"no {self.gate} yet")
        self.result = self.base * self.nodes
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ResumableFlow()
