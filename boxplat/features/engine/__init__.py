"""From files to the embedded online store: DuckDB reads, the newest row of each key is chosen, columns are written."""
