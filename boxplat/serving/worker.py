"""One BentoML worker on a listening socket made by the supervisor: `python -m boxplat.serving.worker BENTO --fd N`.

It does what `bentoml serve` does around its worker (environment, metrics folder, models, deployment hooks, task store)
and then becomes that worker: the same server and the same answers in one process instead of two, on a socket that
outlives it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DRAIN_SECONDS = 5


def main(argv: Sequence[str] | None = None) -> None:
    """Serve a built Bento until SIGTERM; requests under way get `DRAIN_SECONDS` to finish."""
    parser = argparse.ArgumentParser(prog="python -m boxplat.serving.worker", description=__doc__)
    parser.add_argument("bento", type=Path, help="folder of a built Bento")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the listening socket")
    args = parser.parse_args(argv)
    # prometheus_client reads the variable when it is imported, so this comes before BentoML.
    empty_metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    prepare(args.bento)

    from _bentoml_impl.worker.service import main as worker  # type: ignore[import-untyped]

    options = ["--fd", str(args.fd), "--worker-id", "1", "--timeout-graceful-shutdown", str(DRAIN_SECONDS)]
    worker.main([str(args.bento), *options], standalone_mode=False)


def empty_metrics(folder: Path) -> None:
    """An empty folder for the counters of this process: those of one that is gone must not be added to them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def prepare(folder: Path) -> None:
    """What `bentoml serve` does once before its workers start."""
    from _bentoml_impl.loader import load  # type: ignore[import-untyped]
    from _bentoml_impl.server.serving import server_on_deployment  # type: ignore[import-untyped]
    from bentoml._internal.bento.bento import Bento

    # Before the service is imported: its module may read them.
    apply_environment(Bento.from_path(str(folder)).info.envs)
    server_on_deployment(load(str(folder)))


def apply_environment(declared: Sequence[Any]) -> None:
    """Give the variables that a Bento declares their defaults.

    Raises:
        SystemExit: one of them has neither a value nor a default.
    """
    for variable in declared:
        if variable.stage == "build" or variable.name in os.environ:
            continue
        if not variable.value:
            raise SystemExit(f"the service needs the environment variable {variable.name}: set it in boxplat.toml")
        os.environ[variable.name] = variable.value


if __name__ == "__main__":
    main()
