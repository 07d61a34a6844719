"""What can be known of a project's feature repository without reading YAML."""

from __future__ import annotations

import os
import re
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.paths import Paths

# The feature server's name among the services; also that of the cluster's own one.
FEATURES = "features"
_STORE = re.compile(r"^[^#\n]*type:\s*[\"']?boxplat\.features\.(?:[\w.]+\.)?BoxOnlineStore\b", re.MULTILINE)


def has_box_store(paths: Paths, config: Config) -> bool:
    """Whether the repository keeps its online features in boxplat's own store, which its feature server reads.

    One look at the text of `feature_store.yaml`: this is asked by commands that must answer at once.
    """
    file = os.environ.get("FEAST_FS_YAML_FILE_PATH") or paths.root / config.features.repo / "feature_store.yaml"
    try:
        return _STORE.search(Path(file).read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False
