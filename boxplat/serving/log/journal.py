"""The prediction log's hot end: a list that the event loop appends to, and a thread that writes it to a spool.

    worker 1: note() → list → thread → 1.spool ─┐
    worker 2: note() → list → thread → 2.spool ─┴→ compact (a process of its own) → 1.parquet, 2.parquet

Memory is bounded: while the thread cannot write, or cannot keep up, further records are dropped and counted.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.serving.log.annotation import Slip
from boxplat.serving.log.columns import FIELDS, Cut
from boxplat.serving.log.limits import Limits
from boxplat.serving.log.measuring import Measure, prometheus
from boxplat.serving.log.telling import teller
from boxplat.serving.log.writer import Tell, Writer, say

if TYPE_CHECKING:
    from boxplat.serving.settings import Settings

PERIOD = 0.5
STOP_SECONDS = 5.0
# Records of one frame and their size in memory: while it is made, the event loop may have to wait.
CHUNK = 1000
CHUNK_BYTES = 2 * 2**20
# What a record takes beside its two bodies, in bytes.
OVERHEAD = 400
_MASK = (1 << 64) - 1
# Spreads consecutive numbers evenly over 64 bits (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = 0x9E3779B97F4A7C15


def of(settings: Settings, environ: Mapping[str, str]) -> Journal | None:
    """The log of a worker with these settings; None where it keeps none.

    Args:
        environ: of the worker: `BOXPLAT_ENDPOINT`, `BOXPLAT_RELEASE`, `BOXPLAT_MODEL_URI`, `BOXPLAT_FEATURE_SERVICE`.
    """
    if settings.log is None or settings.log_sample <= 0:
        return None
    facts = {
        "endpoint": environ.get("BOXPLAT_ENDPOINT", ""),
        "release": environ.get("BOXPLAT_RELEASE", ""),
        "model_version": environ.get("BOXPLAT_MODEL_URI", "").rpartition("/")[2],
        "feature_service": environ.get("BOXPLAT_FEATURE_SERVICE", ""),
    }
    limits = Limits(sample=settings.log_sample, days=settings.log_days, mib=settings.log_mib)
    known = {name: fact for name, fact in facts.items() if fact}
    return Journal(settings.log, known, limits, teller(environ), prometheus())


@dataclass
class Journal:
    """One worker's log.

    Args:
        folder: shared by the workers of an endpoint; made when the first record is written.
        facts: what holds for every record: `endpoint`, `release`, `model_version`, `feature_service`.
        tell: hears, on the log's thread, what happens to it: `log.stopped`, `log.resumed`, `log.dropped`, `log.lost`.
        measure: is given the log's figures, on the log's thread.

    Attributes:
        dropped: records for which there was no room in memory.
        largest: bytes of a body beyond which it is cut at once, before its digest is made.
    """

    folder: Path
    facts: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    tell: Tell = say
    measure: Measure | None = None
    dropped: int = field(default=0, init=False)
    largest: int = field(init=False)

    def __post_init__(self) -> None:
        self._notes: list[Any] = []
        # Each is written by one thread only, so that neither needs a lock.
        self._noted = 0
        self._freed = 0
        self.largest = max(self.limits.memory // 8, self.limits.body)
        self._share = None if self.limits.sample >= 1 else int(max(0.0, self.limits.sample) * (1 << 64))
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._writer = Writer(self.folder, self.facts, self.limits, self.tell)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._loop, name="prediction-log", daemon=True)
        self._thread.start()

    def note(
        self,
        number: int | str,
        began: int,
        latency: int,
        api: str,
        status: int,
        batch: int,
        body: bytes,
        answer: bytes,
        slip: Slip | None = None,
    ) -> None:
        """Take one answered request into the log. For one thread only, the event loop's; never blocks.

        Args:
            number: the request's id: 64 bits, or a text that the client gave.
            began: when it came, nanoseconds since the epoch.
            latency: until it was answered, nanoseconds.
            batch: rows that were computed together with it, its own included.
            slip: what the service said about it.
        """
        if self._share is not None and not self._sampled(number):
            return
        size = len(body) + len(answer) + OVERHEAD
        if size > self.largest:
            # Too large to wait in memory until its digest is made.
            body, answer = Cut.of(body, self.limits.body), Cut.of(answer, self.limits.body)
            size = len(body) + len(answer) + OVERHEAD
        if slip:
            size += sum([said.weight() for said in slip])
        held = self._noted - self._freed + size
        if held > self.limits.memory:
            self.dropped += 1
            return
        self._noted += size
        # Flat, because a tuple for each record would live long enough to keep the garbage collector busy.
        self._notes.extend((number, began, latency, api, status, batch, body, answer, slip, size))
        if held > self.largest and not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Write what there is and end. What cannot be written now is lost, and said to be."""
        if self._thread is None:
            return
        self._ending.set()
        self._wake.set()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            why = f"nothing could be written within {STOP_SECONDS:g} s"
            say("log.lost", {"records": len(self._notes) // FIELDS, "why": why})
        self._thread = None

    def _sampled(self, number: int | str) -> bool:
        assert self._share is not None
        if isinstance(number, str):
            number = zlib.crc32(number.encode(errors="replace"))
        return (number * _GOLDEN & _MASK) < self._share

    # -- the thread ----------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._ending.is_set():
            if self._writer.pause:
                self._ending.wait(self._writer.pause)
            else:
                self._wake.wait(PERIOD)
            self._wake.clear()
            self.flush()
            self._writer.tend(self.dropped)
            self._measured()
        self.flush()
        self._writer.end(lost=len(self._notes) // FIELDS, dropped=self.dropped)

    def _measured(self) -> None:
        if self.measure is None:
            return
        try:
            self.measure(self._writer.records, self.dropped, self._writer.pause > 0)
        except (OSError, ValueError) as error:
            # Metrics of several workers are files: on a full disk the log goes on without them.
            self.measure = None
            say("log.unmeasured", {"why": str(error)})

    def flush(self) -> bool:
        """Write what was noted until now. False: it cannot be written, and is kept. For one thread only, the log's."""
        left = len(self._notes)
        while left > 0:
            # Copying, and then removing what was written, are one step each for a thread that appends meanwhile.
            chunk = self._notes[: min(CHUNK * FIELDS, left)]
            sizes = chunk[FIELDS - 1 :: FIELDS]
            if sum(sizes) > CHUNK_BYTES:
                count = max(1, bisect_right(list(accumulate(sizes)), CHUNK_BYTES))
                chunk, sizes = chunk[: count * FIELDS], sizes[:count]
            if not self._writer.write(chunk):
                return False
            del self._notes[: len(chunk)]
            self._freed += sum(sizes)
            left -= len(chunk)
        return True
