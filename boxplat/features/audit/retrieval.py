"""A training set that Feast's `get_historical_features` makes: its sources are the files of the service's views."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features.audit import columns
from boxplat.features.audit.sources import Source, files
from boxplat.features.database import quoted
from boxplat.features.repository import Told, folder, opened

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

BUILD = "boxplat.features.audit.retrieving:build"
ASKED = "BOXPLAT_AUDIT_RETRIEVAL"
"""Environment variable of the child process: what to retrieve, as JSON."""


@dataclass(frozen=True)
class Retrieval:
    """What makes the set: the sources of its views, the declared columns, and the registry as bytes."""

    service: str
    sources: tuple[Source, ...]
    declared: columns.Declared
    registry: bytes
    repo: Path
    created: bool

    def asked(self, registry: Path, time: str, full_names: bool) -> str:
        """The child's task: Feast over `registry`, whose sources are files of the copied project."""
        return json.dumps(
            {
                "service": self.service,
                "repo": str(self.repo),
                "registry": str(registry),
                "time": time,
                "created": self.created,
                "full_names": full_names,
            }
        )


def retrieval(paths: Paths, config: Config, service: str, created: bool, told: Told) -> Retrieval:
    """Read a feature service from the registry.

    Args:
        created: the set is joined with `filter_by_created_timestamp`, so a row counts as known when it was written.

    Raises:
        BoxError: no such service (exit code 9), or a view whose source is no file (2).
    """
    repo = folder(paths, config)
    with opened(paths, config, told) as store:
        found = columns.service_of(store, service)
        sources = tuple(_source(repo, view, created) for view in _views(store, found))
        registry = store.registry.proto().SerializeToString()
        return Retrieval(service, sources, columns.of_feast(store, found), registry, repo, created)


def moved(registry: bytes, repo: Path, place: Any) -> bytes:
    """The registry with every local file of a source at its place in the copied project."""
    from feast.protos.feast.core.Registry_pb2 import Registry

    proto = Registry.FromString(registry)
    views = [view.spec.batch_source for view in (*proto.feature_views, *proto.stream_feature_views)]
    for source in (*views, *proto.data_sources):
        for part in (source, source.batch_source):
            uri = part.file_options.uri
            if uri and "://" not in uri:
                part.file_options.uri = str(place((repo / uri).resolve()))
    found: bytes = proto.SerializeToString()
    return found


def _views(store: FeatureStore, service: FeatureService) -> Iterator[Any]:
    """The views with sources that a service reads, those below on-demand views included, each once."""
    every = {view.name: view for view in store.list_all_feature_views()}
    names: dict[str, None] = {}
    for projection in service.feature_view_projections:
        bases: Iterable[Any] = getattr(every[projection.name], "source_feature_view_projections", {}).values()
        names.update(dict.fromkeys([base.name for base in bases] or [projection.name]))
    return (every[view] for view in names if getattr(every[view], "batch_source", None) is not None)


def _source(repo: Path, view: Any, created: bool) -> Source:
    source = view.batch_source
    path = getattr(source, "path", None)
    if not isinstance(path, str) or "://" in path:
        raise BoxError(
            f"feature view {view.name!r} cannot be audited",
            why=f"its source is a {type(source).__name__}, not a file on this machine",
            fix="audit the code that builds the set instead: box features audit TABLE --build module:function",
            code=ExitCode.USAGE,
        )
    known = quoted(source.timestamp_field)
    if created and source.created_timestamp_column:
        known = f"greatest({known}, {quoted(source.created_timestamp_column)})"
    ttl = int(view.ttl.total_seconds() * 1_000_000) if view.ttl else None
    # Twice the life time: an error of the store at its border must still be seen.
    return Source(view.name, files(repo, path, view.name), known, {}, 2 * ttl if ttl else None)
