"""A process of its own that makes held-out rows: `python -m boxplat.releases.gates.child`.

It reads one JSON object from standard input: `function` (`module:function` of the project), `folders` (put first on the
import path) and `jobs`, pairs of a model's folder and the `.npz` file to write. What the code prints goes to its log.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np

from boxplat.serving.backends.table import save


def main() -> None:
    """Do the jobs in their order."""
    asked = json.load(sys.stdin)
    sys.path[:0] = asked["folders"]
    module, _, name = asked["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    for folder, target in asked["jobs"]:
        found = function(Path(folder))
        save(target, {key: np.asarray(value) for key, value in dict(found).items()})


if __name__ == "__main__":
    main()
