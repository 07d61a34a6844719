"""Print the torch model (mean of three seeds) beside scikit-learn's HistGradientBoosting: same features, same split.

    box run flows/compare.py            python flows/compare.py run

Early stop on August for torch; HistGB trained on January to August; both judged on September to December. Fails when a
mean misses its bar, so that it can stand in a test.
"""

from flights.paths import feature_folder, read_manifest, training_digest, training_folder, training_table
from flights.views import SERVICE
from metaflow import FlowSpec, Parameter, card, current, resources, step


class CompareFlow(FlowSpec):
    """Torch against HistGB."""

    seeds = Parameter("seeds", help="Number of seeds of the torch model", default=3)
    threads = Parameter("threads", help="CPU threads of torch", default=1)

    @resources(cpu=2, memory=4000)
    @card(type="blank")
    @step
    def start(self) -> None:
        """Train all, one after the other so that the times mean something."""
        import torch
        from flights import comparison, dataset, gates
        from metaflow.cards import Markdown

        torch.set_num_threads(self.threads)
        self.feature_service = SERVICE
        self.data_digests = training_digest()
        self.feature_seconds = sum(read_manifest(folder())["seconds"] for folder in (feature_folder, training_folder))
        rows = dataset.load(training_table())
        trials = [comparison.torch_trial(rows, seed) for seed in range(self.seeds)]
        histgb, mean = comparison.histgb_trial(rows), comparison.mean(trials)
        self.histgb_auc = histgb.report["overall"]["auc"]
        self.auc, self.brier, self.ece = (mean.report["overall"][name] for name in ("auc", "brier", "ece"))
        judged = gates.judge(mean.report, self.histgb_auc)
        self.gates, self.gate_passed = [str(gate) for gate in judged], all(gate.passed for gate in judged)
        self.text = comparison.table([*trials, mean, histgb])
        current.card.append(Markdown(f"```\n{self.text}\n```"))
        self.next(self.end)

    @step
    def end(self) -> None:
        """Print the table and the gates."""
        print(f"\n{self.text}\n\nfeatures: {self.feature_seconds:.1f} s when they were built\n")
        print(*self.gates, sep="\n")
        if not self.gate_passed:
            raise SystemExit("a gate failed")


if __name__ == "__main__":
    CompareFlow()
