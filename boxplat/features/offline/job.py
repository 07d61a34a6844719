"""The retrieval job: a plan plus Feast's on-demand views, as pandas, Arrow, a stream, a file or tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.offline.plans import Plan
from boxplat.features.offline.publish import write_batches
from boxplat.features.offline.shapes import frame, tensors

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.saved_dataset import SavedDatasetStorage, ValidationReference

BATCH = 65_536


class BoxRetrievalJob(RetrievalJob):
    """A result of the offline store, computed each time it is asked for.

    Args:
        plan: computes the stored columns.
        views: on-demand views to apply to them.
        full_feature_names: whether columns are named `view__feature`.
        describe: makes the metadata (range of times, keys); may cost a query, so only when asked.
        root: folder that relative paths of saved datasets start from.
    """

    def __init__(
        self,
        plan: Plan,
        views: Sequence[OnDemandFeatureView] = (),
        full_feature_names: bool = False,
        describe: Callable[[], RetrievalMetadata | None] = lambda: None,
        root: Path | None = None,
    ) -> None:
        self._plan = plan
        self._views = list(views)
        self._full = full_feature_names
        self._describe = describe
        self._metadata: RetrievalMetadata | None = None
        self._root = root

    @property
    def full_feature_names(self) -> bool:
        return self._full

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        if self._metadata is None:
            self._metadata = self._describe()
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._plan.table()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return frame(self._plan.table())

    def to_df(
        self, validation_reference: ValidationReference | None = None, timeout: int | None = None
    ) -> pd.DataFrame:
        """The result in pandas, on-demand views applied.

        An integer column with NULLs is float64 where that is exact (what pandas and Feast do) and otherwise pandas'
        nullable integer type: no value is ever rounded.
        """
        return frame(self.to_arrow(validation_reference=validation_reference, timeout=timeout))

    def to_arrow_reader(self, rows: int = BATCH) -> pa.RecordBatchReader:
        """The result as a stream of record batches of at most `rows` rows, on-demand views applied to each."""
        import pyarrow as pa

        stream = self._plan.reader(rows)
        if not self._views:
            return stream
        first = self._applied(stream.schema.empty_table())

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in stream:
                yield from self._applied(pa.Table.from_batches([batch])).cast(first.schema).to_batches()

        return pa.RecordBatchReader.from_batches(first.schema, batches())

    def to_parquet(self, path: Path | str) -> int:
        """Write the result to one Parquet file, in entity order, without holding it in memory; the file appears whole.

        Returns:
            The number of rows.
        """
        target = self._placed(path)
        return write_batches(self.to_arrow_reader(), target) if self._views else self._plan.write(target)

    def to_tensor(self, kind: str = "torch", default_value: Any = float("nan"), timeout: int | None = None) -> Any:
        """Columns as 1-D torch tensors; those that are neither numbers nor booleans as lists.

        Integers and booleans without NULLs keep their type (int64, bool), other numbers take torch's default type with
        NULL and NaN replaced by `default_value`.

        Raises:
            ValueError: a `kind` other than `torch`.
        """
        if kind != "torch":
            raise ValueError(f"Unsupported tensor kind: {kind}. Only 'torch' is supported.")
        return tensors(self.to_arrow(timeout=timeout), default_value)

    def to_sql(self) -> str:
        """The statement in DuckDB's dialect that gives the stored columns.

        Raises:
            BoxError: no statement can give them: the entity rows are in memory.
        """
        return self._plan.sql()

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the result where a saved dataset belongs: a Parquet file or folder, or a Delta table.

        Raises:
            SavedDatasetLocationAlreadyExists: there is something, and `allow_overwrite` is false.
            BoxError: another kind of storage.
        """
        from boxplat.features.offline.saved import save

        save(self, storage, self._root, allow_overwrite)

    def _applied(self, table: pa.Table) -> pa.Table:
        """Feast's own code applies the on-demand views; it works on a whole job, so a batch is made one."""
        return BoxRetrievalJob(_Known(table), self._views, self._full, lambda: self.metadata).to_arrow()

    def _placed(self, path: Path | str) -> Path:
        return Path(path) if Path(path).is_absolute() or self._root is None else self._root / path


class _Known:
    """A plan that has its result already."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def table(self) -> pa.Table:
        return self._table

    def reader(self, rows: int) -> pa.RecordBatchReader:
        return self._table.to_reader(rows)

    def write(self, path: Path) -> int:
        return write_batches(self.reader(BATCH), path)

    def sql(self) -> str:
        raise BoxError(
            "this retrieval is no SQL statement",
            why="its rows are in memory already",
            fix="read it as a table: to_arrow(), to_df()",
            code=ExitCode.USAGE,
        )
