"""What is printed, as programs read it."""

from __future__ import annotations

import json
import math

import pytest

from boxplat import render
from boxplat.releases.gates.statistics import Interval


@pytest.mark.parametrize("write", [render.as_json, lambda **parts: render.as_line(parts)])
def test_what_is_no_number_is_null_as_json_has_no_word_for_it(write: object) -> None:
    assert callable(write)
    text = write(found=Interval(math.nan, -math.inf, 0.5), more={"ratio": [math.inf, 1.0]})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    told = json.loads(text, parse_constant=refuse)
    assert told["found"] == {"value": None, "low": None, "high": 0.5} and told["more"] == {"ratio": [None, 1.0]}
