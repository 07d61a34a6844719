"""Why: from a prediction, a release, a model version or a run to all that it was made of, and to what it went into."""

from __future__ import annotations

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.why.history import History, Told, of_endpoint, of_model
from boxplat.releases.why.tree import Answer, Node

__all__ = ["Answer", "History", "Node", "Told", "of_endpoint", "of_model", "why"]


def why(state: StateStore, paths: Paths, config: Config, subject: str) -> Answer:
    """What a thing was made of and what became of it.

    Args:
        subject: `delay@7` (a release), `models:/delay/3` or `models:/delay@champion`, `12` or `run/12`, the id of a
            tracking run, that of a prediction, `ID/ROW` for one of many in a request, `prediction/ID` for an id that
            looks like something else. `delay/7` is a release where there is one, else a model version.

    Raises:
        BoxError: nothing has that name (exit code 9).
    """
    from boxplat.releases.why.sources import Sources
    from boxplat.releases.why.subjects import found

    sources = Sources(state, paths, config)
    node, also = found(sources, subject)
    return Answer(node, also, sources.verdict)
