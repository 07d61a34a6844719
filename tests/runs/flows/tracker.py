"""A step that uses MLflow's own client on the run that boxplat made."""

import os
import sys

from metaflow import FlowSpec, step


class TrackerFlow(FlowSpec):
    @step
    def start(self):
        import mlflow

        with mlflow.start_run(run_id=os.environ["BOXPLAT_TRACKING_RUN_ID"]):
            mlflow.log_metric("by_hand", 4.5)
        self.loads_feast = "feast" in sys.modules
        self.next(self.end)

    @step
    def end(self):
        self.after = 1


if __name__ == "__main__":
    TrackerFlow()
