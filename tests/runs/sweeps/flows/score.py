"""A score by its parameters; it fails while a file is there, and reports a value each step until another is there."""

import os
import time

from metaflow import FlowSpec, Parameter, step


class ScoreFlow(FlowSpec):
    lr = Parameter("lr", default=0.1)
    width = Parameter("width", default=8)
    fail = Parameter("fail", default="")
    hold = Parameter("hold", default="")

    @step
    def start(self):
        from boxplat import report

        if self.fail and self.width == 1 and os.path.exists(self.fail):
            raise ValueError("asked to fail")
        step = 0
        while self.hold and not os.path.exists(self.hold):
            report(step, self.width)
            step += 1
            time.sleep(0.05)
        self.auc = round(0.5 + self.lr / 10 + self.width / 1000, 6)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ScoreFlow()
