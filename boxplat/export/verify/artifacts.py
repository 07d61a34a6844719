"""What the tasks of a run left in a Metaflow datastore, be it a folder or a bucket: the layout is the same."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from boxplat.export.verify.storage import Storage

Key = tuple[str, tuple[int, ...]]


class Store(Protocol):
    """A datastore's root, below which a flow's folder is."""

    def files(self, prefix: str) -> list[str]:
        """Paths of everything below `prefix`, which ends with `/`, relative to the root."""

    def read(self, path: str) -> bytes:
        """The content of a file."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A datastore on the disk."""

    root: Path

    def files(self, prefix: str) -> list[str]:
        top = self.root / prefix
        return [path.relative_to(self.root).as_posix() for path in top.rglob("*") if path.is_file()]

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A datastore in a bucket, below `prefix`, which is empty or ends with `/`."""

    storage: Storage
    prefix: str

    def files(self, prefix: str) -> list[str]:
        pages = self.storage.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.storage.bucket, Prefix=self.prefix + prefix)
        return [entry["Key"].removeprefix(self.prefix) for page in found for entry in page.get("Contents", [])]

    def read(self, path: str) -> bytes:
        content: bytes = (
            self.storage.client().get_object(Bucket=self.storage.bucket, Key=self.prefix + path)["Body"].read()
        )
        return content


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """The last finished attempt at a task; `artifacts` are the keys of the blobs, the SHA-1 of what they hold."""

    step: str
    index: tuple[int, ...]
    task: str
    attempt: int
    artifacts: Mapping[str, str]


class RunRecord:
    """The tasks of one run.

    Args:
        run: Metaflow's run id.
    """

    def __init__(self, store: Store, flow: str, run: str) -> None:
        self.flow, self.run, self._store = flow, run, store
        self.tasks: dict[Key, TaskRecord] = {}
        attempts: dict[tuple[str, str], int] = {}
        for path in store.files(f"{flow}/{run}/"):
            step, task, name = path.split("/")[2:5] if path.count("/") == 4 else ("", "", "")
            if name.endswith(".DONE.lock"):
                number = int(name.partition(".")[0])
                attempts[step, task] = max(number, attempts.get((step, task), 0))
        for (step, task), attempt in sorted(attempts.items()):
            self._add(step, task, attempt)

    def blob(self, key: str) -> bytes:
        """The stored bytes of an artifact."""
        return self._store.read(f"{self.flow}/data/{key[:2]}/{key}")

    def value(self, task: TaskRecord, name: str) -> Any:
        """An artifact of the simplest kinds (texts, numbers, lists, dicts): nothing else is unpickled.

        Raises:
            pickle.UnpicklingError: it holds something else.
        """
        return _Plain(BytesIO(gzip.decompress(self.blob(task.artifacts[name])))).load()

    def succeeded(self) -> bool:
        """Whether its last step has ended well."""
        end = self.tasks.get(("end", ()))
        return end is not None and self.value(end, "_task_ok") is True

    def _add(self, step: str, task: str, attempt: int) -> None:
        content = json.loads(self._store.read(f"{self.flow}/{self.run}/{step}/{task}/{attempt}.data.json"))
        artifacts = {str(name): str(key) for name, key in content["objects"].items()}
        record = TaskRecord(step, (), task, attempt, artifacts)
        frames = [*self._frames(record, "_foreach_stack"), *self._frames(record, "_iteration_stack")]
        record = TaskRecord(step, tuple(int(frame) for frame in frames), task, attempt, artifacts)
        self.tasks[step, record.index] = record

    def _frames(self, task: TaskRecord, name: str) -> Iterable[int]:
        """Positions in foreach splits, or the numbers of repetitions, from the outermost in."""
        if name not in task.artifacts:
            return
        for frame in self.value(task, name):
            yield frame if isinstance(frame, int) else frame[3]


def latest(store: Store, flow: str, runs: Iterable[str]) -> RunRecord | None:
    """The newest run that succeeded; Metaflow numbers local runs by time."""
    return _succeeded(store, flow, sorted(runs, key=by_time, reverse=True))


def first(store: Store, flow: str, runs: Iterable[str]) -> RunRecord | None:
    """The oldest run that succeeded."""
    return _succeeded(store, flow, sorted(runs, key=by_time))


def by_time(run: str) -> tuple[int, str]:
    """What sorts the names of local runs by their starts."""
    return len(run), run


def _succeeded(store: Store, flow: str, runs: Iterable[str]) -> RunRecord | None:
    for run in runs:
        record = RunRecord(store, flow, run)
        if record.succeeded():
            return record
    return None


class _Frame(tuple[Any, ...]):
    """Metaflow's ForeachFrame(step, var, num_splits, index, value), wherever its class is said to be."""

    def __new__(cls, *values: Any) -> _Frame:
        return super().__new__(cls, values)


class _Plain(pickle.Unpickler):
    """Loads no class but that of Metaflow's foreach frames."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "ForeachFrame":
            return _Frame
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")
