"""Whatever happens to a log in whatever order, it holds what was written, once."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from boxplat.serving.log.compact import compact
from boxplat.serving.log.journal import CHUNK
from tests.serving.log.logs import ask, journal, numbers


class Logs(RuleBasedStateMachine):
    """Two workers over one folder, against a list of what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name) / "log"
        self.workers = [journal(self.folder), journal(self.folder)]
        self.noted: list[list[int]] = [[], []]
        self.written: list[int] = []
        self.next = 0

    @rule(worker=st.integers(0, 1), count=st.sampled_from([1, 2, 7, CHUNK, 2 * CHUNK + 3]))
    def note(self, worker: int, count: int) -> None:
        for _ in range(count):
            ask(self.workers[worker], self.next)
            self.noted[worker].append(self.next)
            self.next += 1

    @rule(worker=st.integers(0, 1))
    def flush(self, worker: int) -> None:
        assert self.workers[worker].flush()
        self.written += self.noted[worker]
        self.noted[worker] = []

    @rule(worker=st.integers(0, 1))
    def full(self, worker: int) -> None:
        """The spool is large enough to be ended."""
        writer = self.workers[worker]._writer
        if writer._spool is not None:
            writer._rotate()

    @rule(worker=st.integers(0, 1), cut=st.integers(0, 400))
    def crash(self, worker: int, cut: int) -> None:
        """The process dies while it writes: what it had in memory is gone, and a piece of a frame may be there."""
        spool = self.workers[worker]._writer._spool
        if spool is not None:
            if cut:
                with spool.path.open("ab") as file:
                    file.write(b"BXP1" + b"\x07" * cut)
            spool.close()
        self.workers[worker] = journal(self.folder)
        self.noted[worker] = []

    @rule()
    def compact(self) -> None:
        if self.folder.exists():
            compact(self.folder)

    @invariant()
    def holds_what_was_written(self) -> None:
        if self.folder.exists():
            assert numbers(self.folder) == sorted(self.written)

    def teardown(self) -> None:
        for worker in self.workers:
            worker._writer.end(0, 0)
        if self.folder.exists():
            compact(self.folder)
            assert numbers(self.folder) == sorted(self.written)
            assert not list(self.folder.glob("*.spool"))
        self._scratch.cleanup()


Logs.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestLogs = Logs.TestCase
