"""The offline store: point-in-time joins and pulls over Parquet in DuckDB, appended part files, compaction.

`plugin` holds the two classes that Feast loads; it imports Feast, so nothing here is imported before it is needed.
"""
