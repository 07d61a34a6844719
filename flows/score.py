"""Score a batch of flights with the champion and write the predictions as Parquet.

    box run flows/score.py --param day=2013-12-31            python flows/score.py run

Takes the flights of one day (UTC) from the training table, features as known an hour before departure, and writes
`predictions/<day>.parquet` below the data folder: id, probability, decision and the model's version. The model is
`delay@champion`; without MLFLOW_TRACKING_URI it is the one of the latest `train.py` run on this machine.
"""

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flights import registry
from flights.paths import data_folder, training_digest, training_table
from flights.views import SERVICE
from metaflow import Flow, FlowSpec, Parameter, resources, retry, schedule, step


@schedule(daily=True)
class ScoreFlow(FlowSpec):
    """From the champion and one day's flights to predictions."""

    day = Parameter("day", help="Day of scheduled departure, UTC", default="2013-12-30")

    @resources(cpu=1, memory=800)
    @retry(times=1)
    @step
    def start(self) -> None:
        """Load the model, score the day."""
        from flights import dataset, package, predictions

        self.feature_service = SERVICE
        self.data_digests = training_digest()
        first = datetime.combine(date.fromisoformat(self.day), datetime.min.time(), UTC)
        bounds = [int(moment.timestamp()) // 60 for moment in (first, first + timedelta(days=1))]
        rows = dataset.load(training_table(), f"sched >= {bounds[0]} and sched < {bounds[1]}")
        if not len(rows):
            raise ValueError(f"--day {self.day}: no flights in the training table (it holds 2013)")
        with tempfile.TemporaryDirectory() as folder:
            path, self.model_version = self._champion(Path(folder))
            model = package.Packaged.load(path)
        self.rows_scored = len(rows)
        scored = predictions.Scored(rows.id, model.predict(rows), model.specification["threshold"], self.model_version)
        self.mean_probability = float(scored.probability.mean())
        self.path = str(scored.write(data_folder() / "predictions", self.day))
        self.next(self.end)

    def _champion(self, folder: Path) -> tuple[Path, int]:
        """The model's folder and version (0 when it was not registered)."""
        if registry.tracking():
            tags = registry.champion_tags()
            if not tags:
                raise LookupError("there is no champion of model delay: run flows/train.py first")
            return registry.download(f"models:/delay/{tags['version']}", folder), int(tags["version"])
        from flights import package

        print(f"{registry.NO_TRACKING}; scoring with the latest model of flows/train.py")
        run = Flow("TrainFlow").latest_successful_run
        return package.from_bytes(run["fit"].task.data.package, folder), 0

    @step
    def end(self) -> None:
        """Say where the predictions are."""
        print(f"{self.rows_scored} flights, mean probability {self.mean_probability:.3f}: {self.path}")


if __name__ == "__main__":
    ScoreFlow()
