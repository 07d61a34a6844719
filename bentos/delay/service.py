"""Will this flight be late? An ordinary BentoML service.

    bentoml serve service:Delay --working-dir bentos/delay --host 127.0.0.1

Looks up the features of flights online through Feast and asks the registered model. `BOXPLAT_MODEL_URI` names the
model (default `models:/delay@champion`, found by MLFLOW_TRACKING_URI), `BOXPLAT_FEATURE_REPO` the Feast repository.
"""

from __future__ import annotations

import bentoml
import numpy as np
import torch
from delay_lookup import Looked, OnlineFeatures
from delay_model import Array, DelayModel, load
from delay_schema import Answer, Contribution, Explain, Explanation, Flight, Flights, Prediction
from pydantic import AwareDatetime

from boxplat.serving import annotate

TOP = 8


@bentoml.service(name="delay", resources={"cpu": "1", "memory": "1Gi"}, traffic={"timeout": 30})
class Delay:
    """Probability that a flight arrives 15 or more minutes late or is cancelled, an hour before departure."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.model = load()
        spec = self.model.spec
        self.features = OnlineFeatures(spec["feature_service"], spec["views"], spec["lead_minutes"])

    @bentoml.api
    def predict(self, flights: Flights, explain: Explain = False, as_of: AwareDatetime | None = None) -> Answer:
        """Answer 1 to 1,000 flights; `explain` adds the features that moved each answer most."""
        looked = self.features.read(flights, as_of)
        keys = {name: [getattr(flight, name) for flight in flights] for name in self.model.spec["categorical"]}
        rows = self.model.matrix(looked.values, keys, [int(moment.timestamp()) // 60 for moment in looked.as_of])
        probabilities = self.model.probabilities(rows)
        annotate(rows=len(flights), predictions=probabilities, model_version=self.model.version)
        explanations = _explain(self.model, rows, keys) if explain else [None] * len(flights)
        spec = self.model.spec
        return Answer(
            model="delay",
            model_version=self.model.version,
            backend=self.model.probabilities.backend,
            feature_service=spec["feature_service"],
            threshold=spec["threshold"],
            predictions=[
                _prediction(flight, i, looked, float(probabilities[i]), spec, explanations[i])
                for i, flight in enumerate(flights)
            ],
        )


def _prediction(
    flight: Flight, i: int, looked: Looked, probability: float, spec: dict[str, object], why: Explanation | None
) -> Prediction:
    ages = {view: by_flight[i] for view, by_flight in looked.ages.items()}
    life = {view: declared["ttl_minutes"] for view, declared in spec["views"].items()}  # type: ignore[attr-defined]
    return Prediction(
        flight=f"{flight.carrier} {flight.flight} {flight.origin}-{flight.dest}",
        as_of=looked.as_of[i],
        probability=probability,
        late=probability >= spec["threshold"],  # type: ignore[operator]
        feature_age_minutes=ages,
        stale=[view for view, age in ages.items() if age is not None and age > life[view]],
        missing=[view for view, age in ages.items() if age is None or age < 0],
        explanation=why,
    )


def _explain(model: DelayModel, rows: Array, keys: dict[str, list[str]]) -> list[Explanation]:
    """The `TOP` largest contributions of every row, and the sum of the others."""
    start, logits, parts = model.attributions(rows)
    numeric, categorical = model.spec["numeric"], model.spec["categorical"]
    answers = []
    for i, part in enumerate(parts):
        order = part.abs().argsort(descending=True).tolist()
        top = [
            Contribution(
                feature=[*numeric, *categorical][j],
                value=_value(rows[i, j]) if j < len(numeric) else keys[categorical[j - len(numeric)]][i],
                contribution=float(part[j]),
            )
            for j in order[:TOP]
        ]
        rest = float(part.sum()) - sum(one.contribution for one in top)
        answers.append(Explanation(median_logit=start, logit=float(logits[i]), top=top, rest=rest))
    return answers


def _value(number: float) -> float | None:
    """JSON has no NaN: a missing value is null."""
    return None if np.isnan(number) else float(number)
