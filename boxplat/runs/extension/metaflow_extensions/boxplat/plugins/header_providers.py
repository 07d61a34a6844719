"""Sparing tasks that use MLflow's client the import of Feast."""

import importlib.metadata
import sys
from typing import Any

GROUP = "mlflow.request_header_provider"


def skip_unused() -> None:
    """Hide Feast's header provider from MLflow while Feast is not imported.

    MLflow loads every installed provider at its first request, and Feast's brings all of Feast with it: 5 s of CPU to
    say that there is no header, since the token that it would add is only ever set by Feast itself.
    """
    find = importlib.metadata.entry_points

    def entry_points(**wanted: Any) -> Any:
        found: Any = find(**wanted)
        if wanted.get("group") == GROUP and "feast" not in sys.modules:
            return [entry for entry in found if not entry.value.startswith("feast.")]
        return found

    importlib.metadata.entry_points = entry_points
