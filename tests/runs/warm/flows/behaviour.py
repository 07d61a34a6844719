"""What tasks can do and see that could differ when they are forks; most of it is kept as artifacts."""

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
import time

from metaflow import (
    Config,
    FlowSpec,
    IncludeFile,
    Parameter,
    card,
    catch,
    current,
    environment,
    exit_hook,
    resources,
    retry,
    step,
    timeout,
)
from metaflow.cards import Markdown

logging.basicConfig(format="%(levelname)s %(message)s")
late = []
HARD = ("raise", "exit", "segfault", "kill", "_exit", "text", "late")


def umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return oct(mask)


def seen():
    """What a process can tell of itself that must be the same in every kind of task."""
    return {
        "argv": [word for word in sys.argv if not word.isdigit()][1:12],
        "orig_argv": len(sys.orig_argv) - len(sys.argv),
        "main": os.path.basename(sys.modules["__main__"].__file__),
        "cwd": os.getcwd() == os.path.dirname(os.path.abspath(__file__)),
        "umask": umask(),
        "threads": threading.active_count(),
        "main_thread": threading.current_thread() is threading.main_thread(),
        "signals": {int(n): str(signal.getsignal(n)).split(" at ")[0] for n in (1, 2, 13, 15, 17)},
        "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "streams": [
            (s.name, s.encoding, s.errors, s.line_buffering, s.write_through, type(s.buffer).__name__, s.isatty())
            for s in (sys.stdin, sys.stdout, sys.stderr)
        ],
        "same_streams": sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__,
        "pipes": [os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in range(3)],
        "files": sorted(
            os.readlink(f"/proc/self/fd/{n}").split(":")[0]
            for n in os.listdir("/proc/self/fd")
            # A warm task has a socket to the server.
            if int(n) > 2
            and os.path.exists(f"/proc/self/fd/{n}")
            and not os.readlink(f"/proc/self/fd/{n}").startswith("socket")
        ),
        "run_id": os.environ["METAFLOW_RUN_ID"] == current.run_id,
        "unbuffered": os.environ["PYTHONUNBUFFERED"],
        "environment": sorted(
            name for name in os.environ if not name.startswith(("BOXPLAT", "PYTHONPATH", "METAFLOW_DECO"))
        ),
        "inherited": sorted(
            name
            for name in subprocess.run(["env"], capture_output=True, text=True, check=True).stdout.split("\n")
            if name.startswith("METAFLOW_USER")
        ),
        "children": os.path.basename(sys.executable),
    }


def over():
    """Run by the scheduler in a process of its own."""
    print("the exit hook")


@exit_hook(on_success=[over])
class Behaviour(FlowSpec):
    number = Parameter("number", default=3, type=int)
    settings = Config("settings", default_value={"depth": {"of": 4}})
    text = IncludeFile("text", default=__file__, is_text=True)

    @card(type="default")
    @step
    def start(self):
        self.seen = seen()
        self.lines = len(self.text.splitlines())
        self.depth = self.settings.depth.of
        current.card.append(Markdown("# a card"))
        print("no line end", end="")
        print("to stderr", file=sys.stderr)
        print("künstlich ✓ \udcff".encode("utf-8", "surrogateescape"))
        logging.getLogger("flow").warning("logged")
        sys.stdout.buffer.write(b"bytes \xff\n")
        os.system("echo from a child")
        atexit.register(print, "at exit")
        self.next(self.left, self.right)

    @environment(vars={"COLOUR": "green"})
    @step
    def left(self):
        self.colour = os.environ["COLOUR"]
        self.side = "left"
        self.shared = [1, 2, 3]
        self.next(self.both)

    @retry(times=2, minutes_between_retries=0)
    @resources(cpu=1, memory=100)
    @step
    def right(self):
        self.attempts = current.retry_count
        print("attempt", current.retry_count)
        if current.retry_count < 2:
            raise ValueError(f"attempt {current.retry_count}")
        self.side = "right"
        self.shared = [1, 2, 3]
        self.stdin = sys.stdin.readable(), os.path.exists("/proc/self/fd/0")
        self.next(self.both)

    @step
    def both(self, inputs):
        self.sides = sorted(one.side for one in inputs)
        self.merge_artifacts(inputs, exclude=["side", "seen", "stdin", "attempts", "colour"])
        self.next(self.ends)

    @step
    def ends(self):
        self.kinds = list(HARD)
        self.next(self.end_of, foreach="kinds")

    @catch(var="failure", print_exception=False)
    @step
    def end_of(self):
        self.kind = self.input
        print("about to", self.kind, flush=True)
        if self.kind == "raise":
            raise KeyError("raised")
        elif self.kind == "exit":
            sys.exit(3)
        elif self.kind == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.kind == "_exit":
            os._exit(5)
        elif self.kind == "text":
            sys.exit("a text for the end")
        else:
            late.append(open(os.path.join(os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"], "late.txt"), "w"))
            late[0].write("never closed\n")
        self.next(self.slow_ones)

    @step
    def slow_ones(self, inputs):
        self.caught = sorted(f"{one.kind}: {one.failure is not None}" for one in inputs if hasattr(one, "kind"))
        self.merge_artifacts(inputs, include=["depth"])
        self.next(self.too_slow)

    @catch(var="too_late", print_exception=False)
    @timeout(seconds=1)
    @step
    def too_slow(self):
        time.sleep(30)
        self.next(self.end)

    @step
    def end(self):
        threading.Thread(target=lambda: (time.sleep(0.2), print("from a thread"))).start()
        self.total = self.number + self.depth


if __name__ == "__main__":
    try:
        Behaviour()
    finally:
        print("after the flow")
