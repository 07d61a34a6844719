"""A flow that fails until a file is there."""

import os

from metaflow import FlowSpec, Parameter, step


class Broken(FlowSpec):
    mended = Parameter("mended", default="")

    @step
    def start(self):
        self.made = "once"
        self.next(self.middle)

    @step
    def middle(self):
        if not os.path.exists(self.mended):
            raise RuntimeError("not mended")
        self.then = "again"
        self.next(self.end)

    @step
    def end(self):
        print(self.made, self.then)


if __name__ == "__main__":
    Broken()
