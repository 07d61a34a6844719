"""Requests and answers of the endpoint."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Airport = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Flight(BaseModel):
    """A flight by its keys and its scheduled departure (with zone)."""

    model_config = ConfigDict(extra="forbid")

    carrier: Annotated[str, Field(pattern="^[A-Z0-9]{2}$", description="Two-letter airline code")]
    flight: Annotated[int, Field(ge=1, le=99_999, description="Flight number")]
    origin: Airport
    dest: Airport
    sched_dep: Annotated[AwareDatetime, Field(description="Scheduled departure, ISO with zone")]


# A new release is asked these when nothing is on record: known where the features are those of `flows/features.py`.
EXAMPLE = {"carrier": "DL", "flight": 61, "origin": "LGA", "dest": "ATL", "sched_dep": "2013-12-30T23:00:00+00:00"}
Flights = Annotated[list[Flight], Field(min_length=1, max_length=1000, examples=[[EXAMPLE]])]
Explain = Annotated[bool, Field(examples=[True], description="Whether to add the features that moved each answer most")]


class Contribution(BaseModel):
    """What one feature adds to the logit, compared with the training median."""

    feature: str
    value: float | str | None
    contribution: float


class Explanation(BaseModel):
    """`top` and `rest` (all other features together) sum to `logit` - `median_logit`."""

    median_logit: float
    logit: float
    top: list[Contribution]
    rest: float


class Prediction(BaseModel):
    """The answer for one flight. Ages are minutes before `as_of`; null where the store has nothing for the key."""

    flight: str
    as_of: AwareDatetime
    probability: float
    late: bool
    feature_age_minutes: dict[str, int | None]
    stale: list[str]
    missing: list[str]
    explanation: Explanation | None = None


class Answer(BaseModel):
    """Predictions in the order of the request, and what made them: `backend` is what the model runs on."""

    model: str
    model_version: str
    backend: str
    feature_service: str
    threshold: float
    predictions: list[Prediction]
