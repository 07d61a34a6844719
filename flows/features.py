"""Build the features as known one hour before departure, and bring them online.

    box run flows/features.py            python flows/features.py run --now 2013-12-30T22:00:00+00:00

DuckDB makes one Parquet file of rows per feature view. Then Feast applies the definitions in `feature_repo/`, joins
the training table and writes the values of the moment `now` to the online store. Also writes `example_request.json`:
flights that leave soon after that moment. Whatever is already up to date is left alone.
"""

from datetime import UTC, datetime

from flights import feature_rows, online, requests
from flights.paths import (
    data_folder,
    digests,
    feature_folder,
    project_folder,
    raw_folder,
    read_manifest,
    training_folder,
)
from flights.turns import alone
from flights.views import SERVED, SERVICE
from metaflow import FlowSpec, Parameter, resources, retry, schedule, step


@schedule(hourly=True)
class FeatureFlow(FlowSpec):
    """From checked data to features, offline and online."""

    now = Parameter(
        "now",
        help="The moment to bring online, ISO with zone: the last hours before the weather feed dies",
        default="2013-12-30T22:00:00+00:00",
    )
    repo = Parameter("repo", help="Folder of the Feast definitions, in the project", default="feature_repo")

    @resources(cpu=2, memory=800)
    @retry(times=1)
    @step
    def start(self) -> None:
        """Rows per view."""
        self.moment = datetime.fromisoformat(self.now)
        if self.moment.tzinfo is None:
            raise ValueError(f"--now {self.now} has no zone: write 2013-12-30T22:00:00+00:00")
        self.moment = self.moment.astimezone(UTC)
        self.feature_service = SERVICE
        with alone():
            self.built = feature_rows.build(raw_folder(), feature_folder())
        self.feature_seconds = read_manifest(feature_folder())["seconds"]
        self.next(self.publish)

    @resources(cpu=1, memory=1600)
    @retry(times=1)
    @step
    def publish(self) -> None:
        """Apply the definitions, join the training table and materialize."""
        with alone():
            self.joined, self.published = online.publish(
                project_folder() / self.repo, digests(feature_folder()), self.moment
            )
        self.data_digests = digests(raw_folder()) | digests(feature_folder()) | digests(training_folder())
        self.feature_seconds += read_manifest(training_folder())["seconds"]
        self.next(self.end)

    @step
    def end(self) -> None:
        """Leave a request that can be answered at this moment."""
        path = data_folder() / "example_request.json"
        path.write_text(requests.example(feature_folder(), self.moment))
        made = "built" if self.built or self.joined else "unchanged"
        print(f"features {made} ({self.feature_seconds:.1f} s when built)")
        print(f"{len(SERVED)} feature views applied; service {SERVICE}")
        print(f"online store {'brought to' if self.published else 'already at'} {self.moment.isoformat()}")
        print(f"try: box predict delay @{path}")


if __name__ == "__main__":
    FeatureFlow()
