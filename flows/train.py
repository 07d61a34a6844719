"""Train the delay model, judge it on September to December, and register it.

    box run flows/train.py --param seed=1            python flows/train.py run --seed 1

Trains an MLP with embeddings on January to July, stops early on August (or `--protocol refit`: January to August, fixed
length; `--months` moves August), exports it, measures the exported model on the test months, compares with the bars,
and registers it in MLflow as the next version of `delay`. With all bars passed it becomes `champion` where there is
none yet, else `challenger`, which `box models promote delay challenger` judges. Without MLFLOW_TRACKING_URI it
registers nothing and says so. The card of step `evaluate` shows ROC, calibration, months and what matters most.
"""

import tempfile
import time
from pathlib import Path

from flights import registry
from flights.paths import shown, text_digest, training_digest, training_table
from flights.views import SERVICE
from metaflow import FlowSpec, Parameter, card, current, resources, retry, step


class TrainFlow(FlowSpec):
    """From the training table to a registered model."""

    seed = Parameter("seed", help="Seed of weights and batches", default=0)
    protocol = Parameter("protocol", help="early-stop or refit", default="early-stop")
    months = Parameter("months", help="Last month whose outcomes are known: the early stop is on it", default=8)
    table = Parameter("table", help="Another training table than features.py wrote", default="")
    build = Parameter("build", help="Function that builds its rows, for the leakage audit", default=registry.BUILD)
    epochs = Parameter("epochs", help="Length of the one-cycle when stopping early", default=8)
    device = Parameter("device", help="cpu, cuda, or auto: cuda where there is one", default="auto")
    threads = Parameter("threads", help="CPU threads of torch: one is as fast on a busy machine", default=1)
    baseline = Parameter("baseline", help="Also train scikit-learn's HistGB and gate against it", default=False)
    miss_cost = Parameter("miss_cost", help="Cost of a missed delay in false alarms; sets the threshold", default=2.0)
    reuse = Parameter("reuse", help="Keep the champion if data, code and parameters are the same", default=False)

    @step
    def start(self) -> None:
        """Note what goes in; see whether the champion was made of the very same."""
        if self.protocol not in ("early-stop", "refit"):
            raise ValueError(f"--protocol {self.protocol}: must be early-stop or refit")
        if not 2 <= self.months <= 11:
            raise ValueError(f"--months {self.months}: at least one to train on and one to judge on, so 2 to 11")
        self.feature_service = SERVICE
        table = Path(self.table).resolve() if self.table else training_table()
        self.training_table, self.data_digests = shown(table), training_digest(table)
        code = [path.read_text() for path in sorted(Path(__file__).parent.joinpath("flights").glob("*.py"))]
        choices = (self.seed, self.protocol, self.months, self.epochs, self.baseline, self.miss_cost)
        self.inputs_digest = text_digest(*self.data_digests.values(), *map(str, choices), *code)
        champion = registry.champion_tags() if self.reuse and registry.tracking() else {}
        self.reused = champion.get("inputs_digest") == self.inputs_digest
        self.model_version = int(champion["version"]) if self.reused else 0
        self.next(self.fit)

    @resources(cpu=2, memory=1200)
    @retry(times=1)
    @step
    def fit(self) -> None:
        """Train and export."""
        self.package: dict[str, bytes] = {}
        self.fit_seconds = 0.0
        self.losses: list[float] = []
        if not self.reused:
            self._train()
        self.next(self.evaluate)

    def _train(self) -> None:
        import torch
        from flights import dataset, fit, package

        torch.set_num_threads(self.threads)
        rows = dataset.load(Path(self.training_table))
        device = fit.choose_device(self.device)
        recipe = fit.Recipe(self.seed, self.protocol, self.months, self.epochs, device=device)
        started = time.perf_counter()
        fitted = fit.fit(rows, recipe)
        self.fit_seconds = time.perf_counter() - started
        self.best_epoch, self.losses = fitted.best_epoch, fitted.losses
        self.training_until = registry.until(rows.months(range(1, self.months + 1)).sched)
        details = package.specification(fitted, threshold=1 / (1 + self.miss_cost))
        with tempfile.TemporaryDirectory() as folder:
            package.save(Path(folder), fitted, fitted.preparation.matrix(rows.take(slice(0, 8))), details)
            test = rows.months(dataset.split(self.months)[2])
            package.save_calibration(Path(folder), test, fitted.preparation.levels)
            self.package = package.to_bytes(Path(folder))

    @resources(cpu=2, memory=1200)
    @card(type="blank")
    @step
    def evaluate(self) -> None:
        """Measure the exported model on the test months."""
        if not self.reused:
            self._evaluate()
        self.next(self.register)

    def _evaluate(self) -> None:
        import torch
        from flights import baseline, dataset, evaluate, gates, package, summary

        torch.set_num_threads(self.threads)
        table = Path(self.training_table)
        test = dataset.load(table, f"y is not null and month >= {dataset.split(self.months)[2].start}")
        with tempfile.TemporaryDirectory() as folder:
            model = package.Packaged.load(package.from_bytes(self.package, Path(folder)))
        probabilities = model.predict(test)
        self.report = evaluate.report(test, probabilities)
        reference = None
        if self.baseline:
            reference = evaluate.measure(test.y, baseline.fit_predict(dataset.load(table), test))["auc"]
            self.baseline_auc = reference
        for name, value in summary.scalars(self.report).items():
            setattr(self, name, value)
        judged = gates.judge(self.report, reference)
        self.gates = [str(gate) for gate in judged]
        self.gate_passed = all(gate.passed for gate in judged)
        current.card.extend(summary.card(self.report, self.gates, model, test, probabilities))

    @resources(cpu=1, memory=600)
    @retry(times=2)
    @step
    def register(self) -> None:
        """Register the model; champion if it passed."""
        if not self.reused and registry.tracking():
            self._register()
        self.next(self.end)

    def _register(self) -> None:
        from flights import package, summary

        tags = {
            "feature_service": self.feature_service,
            "gate": "passed" if self.gate_passed else "failed",
            "inputs_digest": self.inputs_digest,
            "metaflow_run": f"{current.flow_name}/{current.run_id}",
            "training_table": self.training_table,
            "training_digest": next(iter(self.data_digests.values())),
            "training_build": self.build,
            "training_until": self.training_until,
        }
        scalars = summary.scalars(self.report)
        with tempfile.TemporaryDirectory() as folder:
            package.add_to_specification(package.from_bytes(self.package, Path(folder)), metrics=scalars, tags=tags)
            made = registry.register(Path(folder), scalars, self.losses, tags, self.gate_passed)
            self.model_version, self.alias = made

    @step
    def end(self) -> None:
        """Print the figures."""
        if self.reused:
            print(f"delay version {self.model_version} is champion and made of the same: nothing to do")
            return
        overall = self.report["overall"]
        print(f"test AUC {overall['auc']:.4f}  Brier {overall['brier']:.4f}  ECE {overall['ece']:.4f}")
        print("AUC by month  " + "  ".join(f"{name}: {row['auc']:.3f}" for name, row in self.report["month"].items()))
        print(*self.gates, sep="\n")
        if not self.model_version:
            print(registry.NO_TRACKING)
        else:
            print(f"delay version {self.model_version}: {self.alias or 'no alias: a gate failed'}")


if __name__ == "__main__":
    TrainFlow()
