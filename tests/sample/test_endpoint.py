"""The service under plain `bentoml serve`: right answers, clear refusals, never a 500."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flights import dataset
from flights.package import Packaged

from boxplat.releases.warmup import warm
from tests.sample.conftest import Trained

pytestmark = pytest.mark.integration


def ask(url: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/predict", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


@pytest.fixture(scope="module")
def example(trained: Trained) -> dict[str, Any]:
    request: dict[str, Any] = json.loads((trained.sample.data / "example_request.json").read_text())
    return request


def test_online_equals_offline(trained: Trained, champion: Path, endpoint: str, example: dict[str, Any]) -> None:
    """The example's flights have T at the moment that is online, so the training table must give the same answer."""
    status, answer = ask(endpoint, example)
    assert status == 200 and answer["model_version"] == "1" and answer["feature_service"] == "delay_v1"
    table = trained.sample.data / "training" / "training.parquet"
    packaged = Packaged.load(champion)
    for flight, prediction in zip(example["flights"], answer["predictions"], strict=True):
        key = f"carrier = '{flight['carrier']}' and flight = {flight['flight']} and origin = '{flight['origin']}'"
        rows = dataset.load(table, f"{key} and event_timestamp = '{prediction['as_of']}'")
        np.testing.assert_allclose([prediction["probability"]], packaged.predict(rows), atol=1e-6)
        assert prediction["late"] == (prediction["probability"] >= answer["threshold"])
        assert prediction["stale"] == []
        assert prediction["feature_age_minutes"]["origin_weather"] == 0
        assert len(prediction["feature_age_minutes"]) == 18


def test_its_example_is_answered(endpoint: str, tmp_path: Path) -> None:
    """So that its first release is warm before it serves."""
    found = warm(endpoint, tmp_path)
    assert (found.source, found.sent, found.answered) == ("example", 1, 1)


def test_reasons_sum_to_the_answer(endpoint: str, example: dict[str, Any]) -> None:
    for prediction in ask(endpoint, example)[1]["predictions"]:
        why = prediction["explanation"]
        total = sum(part["contribution"] for part in why["top"]) + why["rest"]
        assert total == pytest.approx(why["logit"] - why["median_logit"], abs=1e-4)
        assert prediction["probability"] == pytest.approx(1 / (1 + np.exp(-why["logit"])), abs=1e-6)
    assert ask(endpoint, {**example, "explain": False})[1]["predictions"][0]["explanation"] is None


def test_old_weather_is_missing_and_flagged(endpoint: str, example: dict[str, Any]) -> None:
    later = {**example, "as_of": "2013-12-31T01:00:00Z"}
    at_three_hours = ask(endpoint, later)[1]["predictions"][0]
    assert at_three_hours["stale"] == [] and at_three_hours["feature_age_minutes"]["origin_weather"] == 180
    later["as_of"] = "2013-12-31T01:01:00Z"
    one_minute_more = ask(endpoint, later)[1]["predictions"][0]
    assert one_minute_more["stale"] == ["origin_weather"]
    assert abs(one_minute_more["probability"] - at_three_hours["probability"]) > 1e-4


def test_what_was_not_known_yet_is_not_used(endpoint: str, example: dict[str, Any]) -> None:
    """The store holds the values of 22:00 UTC; asked as of an hour before, the weather of 22:00 lies in the future."""
    first = ask(endpoint, {**example, "as_of": "2013-12-30T21:00:00Z"})[1]["predictions"][0]
    assert first["feature_age_minutes"]["origin_weather"] == -60
    assert "origin_weather" in first["missing"] and first["stale"] == []
    weather = {part["feature"] for part in first["explanation"]["top"] if part["value"] is not None}
    assert not weather & {"temp", "precip", "visib", "humid"}


def test_a_thousand_flights_and_no_more(endpoint: str, example: dict[str, Any]) -> None:
    many = {"flights": (example["flights"] * 201)[:1000]}
    status, answer = ask(endpoint, many)
    assert status == 200 and len(answer["predictions"]) == 1000
    assert ask(endpoint, {"flights": [*many["flights"], many["flights"][0]]})[0] == 400


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"carrier": "ZZ"}, "carrier"),
        ({"dest": "QQQ"}, "dest"),
        ({"origin": "BOS"}, "origin"),
        ({"flight": 9876}, "flight"),
        ({"sched_dep": "2014-06-01T12:00:00Z"}, "flight"),
        ({"sched_dep": "2013-12-30T23:00:00"}, "sched_dep"),
        ({"sched_dep": "soon"}, "sched_dep"),
        ({"flight": "x"}, "flight"),
        ({"flight": -1}, "flight"),
        ({"flight": 10**30}, "flight"),
        ({"origin": None}, "origin"),
        ({"carrier": "Ü" * 5000}, "carrier"),
        ({"speed": 3}, "speed"),
    ],
)
def test_a_bad_flight_is_refused_by_field(
    endpoint: str, example: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    bad = {"flights": [example["flights"][0], example["flights"][1] | change]}
    status, answer = ask(endpoint, bad)
    assert status == 400
    assert answer["detail"][0]["loc"] == ["flights", 1, field]


@pytest.mark.parametrize(
    "body", [{"flights": []}, {}, {"flights": 3}, [1], b"{", b"", {"flights": None}, b"\xff\xfe", {"flights": [[]]}]
)
def test_a_bad_request_is_refused(endpoint: str, body: Any) -> None:
    status, answer = ask(endpoint, body)
    assert status == 400 and "error" in answer


def test_bad_options_are_refused(endpoint: str, example: dict[str, Any]) -> None:
    for options in ({"explain": "perhaps"}, {"as_of": "now"}, {"as_of": "2013-12-30T23:00:00"}):
        status, answer = ask(endpoint, example | options)
        assert (status, answer["detail"][0]["loc"]) == (400, list(options))
