"""One flow with most of what Metaflow can do, so that few runs cover much."""

import os
import time

from metaflow import Config, FlowSpec, IncludeFile, Parameter, card, catch, current, retry, step, timeout
from metaflow.cards import Markdown


class Contrary(dict):
    """A value that no recorder can look into; the step that makes it must not notice."""

    def __len__(self):
        raise RuntimeError("not to be counted")


class EverythingFlow(FlowSpec):
    rate = Parameter("learning-rate", default=0.5)
    label = Parameter("label", default="plain")
    notes = IncludeFile("notes", default=os.path.join(os.path.dirname(__file__), "notes.txt"))
    settings = Config("settings", default_value={"depth": 3})

    @card
    @step
    def start(self):
        current.card.append(Markdown("# what start saw"))
        self.seen_tracking_run = os.environ.get("BOXPLAT_TRACKING_RUN_ID", "")
        self.seen_experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "")
        heavy = {"mlflow", "sqlalchemy", "numpy", "boxplat.core.model", "boxplat.adapters", "boxplat.supervisor"}
        self.heavy = not heavy.isdisjoint(__import__("sys").modules)
        self.data_digests = {"raw": "sha256:0123"}
        self.feature_service = "delays_v1"
        self.note_size = len(self.notes)
        self.depth = self.settings.depth
        self.outer = [10, 20]
        self.next(self.spread)

    @step
    def spread(self):
        self.next(self.fan, foreach="outer")

    @step
    def fan(self):
        self.inner = [1, 2]
        self.next(self.work, foreach="inner")

    @step
    def work(self):
        self.product = self.foreach_stack()[0][2] * self.input
        self.depth_read = self.depth
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.total = sum(item.product for item in inputs)
        self.merge_artifacts(inputs, include=["depth"])
        self.next(self.collect)

    @step
    def collect(self, inputs):
        self.grand_total = sum(item.total for item in inputs)
        self.scores = {"auc": 0.77, "brier": 0.125}
        self.merge_artifacts(inputs, include=["depth"])
        self.next(self.branch)

    @step
    def branch(self):
        self.next(self.shaky, self.caught, self.late)

    @retry(times=1, minutes_between_retries=0)
    @step
    def shaky(self):
        if current.retry_count == 0:
            raise ValueError("the first attempt always fails")
        self.attempts = current.retry_count + 1
        self.next(self.meet)

    @catch(var="problem")
    @step
    def caught(self):
        self.before_problem = 7
        raise KeyError("caught on purpose")
        self.next(self.meet)

    @catch(var="too_late")
    @timeout(seconds=1)
    @step
    def late(self):
        for _ in range(600):
            time.sleep(0.1)
        self.next(self.meet)

    @step
    def meet(self, inputs):
        self.loss = 0.9
        self.was_caught = bool(inputs.caught.problem)
        self.next(self.end)

    @step
    def end(self):
        self.contrary = Contrary(a=1)
        self.loss = 0.25
        self.done = True


if __name__ == "__main__":
    EverythingFlow()
