"""A process of its own that runs the code under audit: `python -m boxplat.features.audit.child module:function FOLDER…`

It imports the function once (the folders are put first on the import path) and then reads jobs, one JSON object per
line, from standard input: `folder` (the sources), `rows` (Parquet, the rows that are wanted) and `out`. Every job runs
in a fork, so that nothing that the code has cached outlives its job, and is answered by one line: `ok` or the fork's
exit status. What the code prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    function, *folders = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Here and not in every fork.
    importlib.import_module("pyarrow.parquet")
    sys.path[:0] = folders
    module, _, attribute = function.partition(":")
    build = getattr(importlib.import_module(module), attribute)
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(f"{_in_a_fork(build, json.loads(line))}\n")


def _in_a_fork(build: Callable[[Path, Any], Any], job: dict[str, str]) -> str:
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os._exit(_done(build, job))
    _, status = os.waitpid(pid, 0)
    return "ok" if status == 0 else str(os.waitstatus_to_exitcode(status))


def _done(build: Callable[[Path, Any], Any], job: dict[str, str]) -> int:
    """Exit status of the fork. Any error of foreign code becomes a traceback in the log, and 1."""
    import pyarrow.parquet as pq

    try:
        pq.write_table(as_arrow(build(Path(job["folder"]), pq.read_table(job["rows"]))), job["out"])
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def as_arrow(found: Any) -> Any:
    """An Arrow table of whatever a build returns: Arrow, pandas, Polars, a DuckDB relation, or a path to Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(found, pa.Table):
        return found
    if isinstance(found, str | Path):
        return pq.read_table(found)
    if type(found).__module__.startswith("pandas."):
        return pa.Table.from_pandas(found, preserve_index=False)
    if hasattr(found, "__arrow_c_stream__"):
        return pa.table(found)
    raise TypeError(f"the build returned {type(found).__name__}: return an Arrow table, a DataFrame or a Parquet path")


if __name__ == "__main__":
    main()
