"""A step that waits for a file and meanwhile keeps a process of its own in another session."""

import os
import signal
import subprocess
import sys
import time

import psutil
from metaflow import FlowSpec, Parameter, step


def scheduler():
    """The scheduler's pid: of a forked task it is not the parent, but the server's parent."""
    return [one.pid for one in psutil.Process().parents() if any("slow.py" in word for word in one.cmdline())][-1]


class SlowFlow(FlowSpec):
    gate = Parameter("gate", required=True)
    how = Parameter("how", default="wait")

    @step
    def start(self):
        self.begun = 1
        self.next(self.hold)

    @step
    def hold(self):
        if self.how == "die":
            os._exit(9)
        if self.how == "spawn":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
        print("waiting for the gate", flush=True)
        if self.how == "outlive":
            told = []
            signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
            os.kill(scheduler(), signal.SIGKILL)
            while not told:
                time.sleep(0.01)
        for _ in range(3000):
            if os.path.exists(self.gate):
                break
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        self.seen_tracking_run = os.environ.get("BOXPLAT_TRACKING_RUN_ID", "")


if __name__ == "__main__":
    SlowFlow()
