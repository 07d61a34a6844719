"""Waits until it is cancelled."""

import signal

from metaflow import FlowSpec, step


class WaitsFlow(FlowSpec):
    @step
    def start(self):
        print("waiting now")
        signal.pause()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    WaitsFlow()
