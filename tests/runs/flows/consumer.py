"""Steps that use a known amount of one thing each, so that what was measured can be checked."""

import os
import signal
import subprocess
import sys
import tempfile
import time

from metaflow import FlowSpec, current, resources, retry, step

MIB = 2**20
# Held until the launcher has surely looked.
SEEN = 4
CHILD = f"import time; held = bytearray(b'x') * (200 * 2**20); time.sleep({SEEN})"


class ConsumerFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.allocate)

    @resources(cpu=2, memory=4000)
    @step
    def allocate(self):
        """300 MiB, every page of it touched."""
        held = bytearray(b"x") * (300 * MIB)
        self.size = len(held)
        self.next(self.child)

    @step
    def child(self):
        """200 MiB in a child, which does not begin as a copy of this process."""
        subprocess.run([sys.executable, "-c", CHILD], check=True)
        self.next(self.brief)

    @step
    def brief(self):
        """300 MiB that are gone when a small child starts: the child is no second 300 MiB."""
        held = bytearray(b"x") * (300 * MIB)
        subprocess.run(["true"], check=True)
        self.size = len(held)
        self.next(self.burn)

    @step
    def burn(self):
        """1 second of CPU."""
        began = time.process_time()
        while time.process_time() - began < 1:
            pass
        self.spent = time.process_time()
        self.next(self.write)

    @step
    def write(self):
        """50 MB to a file and back."""
        with tempfile.TemporaryFile(dir=os.environ["BOXPLAT_DATA"]) as file:
            for _ in range(50):
                file.write(b"x" * 10**6)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            while file.read(10**6):
                pass
        self.next(self.killed)

    @retry(times=1, minutes_between_retries=0)
    @step
    def killed(self):
        """150 MiB in a first attempt that ends without a word."""
        if current.retry_count == 0:
            held = bytearray(b"x") * (150 * MIB)
            time.sleep(SEEN)
            os.kill(os.getpid(), signal.SIGKILL)
            self.size = len(held)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ConsumerFlow()
