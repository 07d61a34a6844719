"""The project's Bento store: what is in it, and taking Bentos out with BentoML's own call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.environment import QUIET
from boxplat.core.errors import BoxError


@dataclass(frozen=True, slots=True)
class StoredBento:
    """A Bento, and when it was built (seconds since the epoch)."""

    tag: str
    folder: Path
    built: float


def read(bentoml: Path) -> list[StoredBento]:
    """Every Bento of a store, oldest first.

    Args:
        bentoml: the store's folder, `.box/bentoml`.
    """
    found = []
    for path in (bentoml / "bentos").glob("*/*/bento.yaml"):
        tag = f"{path.parent.parent.name}:{path.parent.name}"
        found.append(StoredBento(tag, path.parent, path.stat().st_mtime))
    return sorted(found, key=lambda one: one.built)


def remove(bentoml: Path, tags: Sequence[str]) -> None:
    """Delete Bentos. May be repeated.

    Raises:
        BoxError: BentoML refused.
    """
    done = subprocess.run(
        [sys.executable, "-m", "boxplat.adapters.bentos_store"],
        input=json.dumps(list(tags)),
        env={**os.environ, **QUIET, "BENTOML_HOME": str(bentoml)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BoxError(
            "the Bento store did not let go of all Bentos",
            why="\n".join(done.stderr.strip().splitlines()[-5:]) or f"status {done.returncode}",
            fix="box gc --yes   (it goes on where this one has stopped)",
        )


def _remove(tags: Sequence[str]) -> None:
    from bentoml import bentos
    from bentoml.exceptions import NotFound

    for tag in tags:
        try:
            bentos.delete(tag)
        except NotFound:
            continue


if __name__ == "__main__":
    _remove(json.load(sys.stdin))
    os._exit(0)
