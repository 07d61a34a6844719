"""Two tasks that tell their processes and wait for a file."""

import os
import time

from metaflow import FlowSpec, Parameter, retry, step


class Held(FlowSpec):
    folder = Parameter("folder")

    @step
    def start(self):
        self.parts = [0, 1]
        self.next(self.part, foreach="parts")

    @retry(times=1, minutes_between_retries=0)
    @step
    def part(self):
        with open(os.path.join(self.folder, f"pid.{self.input}.new"), "w") as file:
            file.write(f"{os.getpid()} {os.getppid()}")
        os.rename(file.name, file.name[:-4])
        while not os.path.exists(os.path.join(self.folder, "go")):
            time.sleep(0.02)
        with open(os.path.join(self.folder, f"done.{self.input}"), "w") as file:
            file.write("done")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Held()
