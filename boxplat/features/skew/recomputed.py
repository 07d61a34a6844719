"""The same features from the offline store: one point-in-time join over the service's views, life times applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.features.database import literal
from boxplat.features.skew.features import Wanted, named

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from feast import FeatureStore

    from boxplat.features.join import History


def write(store: FeatureStore, wanted: Wanted, served: Path, target: Path) -> int:
    """Write `n`, the keys, and each feature (`view__feature`) as of its prediction's time; returns the rows.

    Raises:
        BoxError: a source that is not there, or cannot be read.
    """
    keys = f", {named(wanted.keys)}" if wanted.keys else ""
    # Keys that do not fit their type have no rows to be found.
    entities = f"select n, moment as event_timestamp{keys} from read_parquet({literal(str(served))})"
    job = store.get_historical_features(entities, wanted.service, full_feature_names=True)
    return int(job.to_parquet(target))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Rows:
    """A view's own rows: `relation` as SQL, and how the join reads them."""

    relation: str
    history: History


def rows_of(con: DuckDBPyConnection, store: FeatureStore, wanted: Wanted) -> dict[str, Rows]:
    """The rows behind each view of a service, by its name or alias; none for transformations."""
    from boxplat.features.offline import views
    from boxplat.features.offline.source import look_up

    stored = {view.name: view for view in (*store.list_feature_views(), *store.list_stream_feature_views())}
    found = {}
    for part in wanted.service.feature_view_projections:
        if part.name not in stored:
            continue
        view = stored[part.name].with_projection(part)
        alias = str(part.name_to_use())  # type: ignore[no-untyped-call]
        (share,) = views.needed([view], [f"{alias}:{field.name}" for field in part.features], True)
        source = look_up(share.source, store.repo_path, con)
        found[alias] = Rows(source.relation, share.history(source))
    return found
