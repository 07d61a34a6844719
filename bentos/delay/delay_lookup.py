"""Online features of flights, with the age of every view."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from delay_schema import Flight
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from boxplat.features import reader
from boxplat.serving import annotate

REPO = "feature_repo"
# Views with a single key, to say which part of an unknown flight is the unknown one.
WITNESS = {"origin": "origin_history", "carrier": "carrier_history", "dest": "dest_backlog"}


def unknown(i: int, field: str, message: str) -> ValidationError:
    """The error of a flight that the online store does not know, in the form of any other invalid field."""
    problem = InitErrorDetails(
        type=PydanticCustomError("unknown_key", "{message}", {"message": message}),
        loc=("flights", i, field),
        input=None,
    )
    return ValidationError.from_exception_data("Input", [problem])


@dataclass(frozen=True)
class Looked:
    """N flights: `values` by feature [N] (None where missing or stale), `ages` minutes by view [N] (None: no row;
    negative: a row that was not known yet), `as_of` [N]."""

    values: dict[str, list[Any]]
    ages: dict[str, list[int | None]]
    as_of: list[datetime]


def repository() -> Path:
    """`BOXPLAT_FEATURE_REPO`, else the nearest `feature_repo` at or above the working directory or this file."""
    given = os.environ.get("BOXPLAT_FEATURE_REPO")
    if given:
        return Path(given)
    here, cwd = Path(__file__).resolve(), Path.cwd()
    for folder in (cwd, *cwd.parents, *here.parents):
        if (folder / REPO / "feature_store.yaml").exists():
            return folder / REPO
    raise FileNotFoundError(f"no {REPO} at or above {cwd}: set BOXPLAT_FEATURE_REPO")


class OnlineFeatures:
    """Reads a feature service's online values. `views`: per view its `ttl_minutes` and `columns`."""

    def __init__(self, service: str, views: dict[str, Any], lead_minutes: int) -> None:
        self.reader = reader.open(repository())
        self.service = service
        self.views = views
        self.lead = timedelta(minutes=lead_minutes)

    def read(self, flights: Sequence[Flight], as_of: datetime | None) -> Looked:
        """Features as of `as_of`, by default an hour before each departure.

        Raises pydantic's `ValidationError` naming the field of a flight that is not in the store.
        """
        keys: dict[str, list[Any]] = {
            name: [getattr(flight, name) for flight in flights] for name in ("carrier", "flight", "origin", "dest")
        }
        keys["sched"] = [int(flight.sched_dep.timestamp()) // 60 for flight in flights]
        keys["network"] = ["nyc"] * len(flights)
        moments = [as_of or flight.sched_dep - self.lead for flight in flights]
        # A value older than its view's life time at that moment comes back as missing.
        found = self.reader.read(self.service, keys, now_us=np.array([int(m.timestamp() * 1e6) for m in moments]))
        seconds = {name: found.age_seconds(view["columns"][0]) for name, view in self.views.items()}
        ages = {name: _ages(column) for name, column in seconds.items()}
        _refuse_unknown(flights, ages)
        values = {
            column: [
                value if age is not None and age >= 0 else None
                for value, age in zip(found.python(column), ages[name], strict=True)
            ]
            for name, view in self.views.items()
            for column in view["columns"]
        }
        annotate(
            rows=len(flights), keys=keys, features=values, ages=seconds, as_of=moments, feature_service=self.service
        )
        return Looked(values, ages, moments)


def _ages(seconds: np.ndarray[Any, Any]) -> list[int | None]:
    """Whole minutes; NaN, which is no row, becomes None."""
    return [None if math.isnan(age) else int(age // 60) for age in seconds]


def _refuse_unknown(flights: Sequence[Flight], ages: dict[str, list[int | None]]) -> None:
    for i, flight in enumerate(flights):
        if ages["flight_schedule"][i] is not None:
            continue
        for field, view in WITNESS.items():
            if ages[view][i] is None:
                raise unknown(i, field, f"{getattr(flight, field)} is not in the online store")
        key = f"{flight.carrier} {flight.flight} from {flight.origin} to {flight.dest}"
        when = flight.sched_dep.isoformat()
        raise unknown(i, "flight", f"no {key} is scheduled at {when} in the online store, which knows one day ahead")
