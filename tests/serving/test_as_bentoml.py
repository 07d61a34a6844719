"""boxplat's worker and `bentoml serve` give equal answers to equal requests."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.cases import CASES, SYSTEM, Case
from tests.serving.cases_more import MORE
from tests.serving.conftest import Answered, Pair, ask

ALL = CASES | MORE
# What names a moment or a file of the server's own.
_OWN = re.compile(rb'"task_id": ?"[^"]*"|/tmp/[^"]*')


@pytest.mark.integration
def test_every_answer(pair: tuple[str, Pair]) -> None:
    name, urls = pair
    different = []
    for case in [*ALL[name], *SYSTEM]:
        ours, stock = (_fixed(ask(url, case)) for url in (urls.ours, urls.stock))
        if ours != stock:
            different.append(f"{case}\n  ours:  {ours}\n  stock: {stock}")
    assert not different, "\n".join(different)


_SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_VALUE = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8
)
_BODY = st.one_of(_VALUE.map(json.dumps).map(str.encode), st.binary(max_size=20), st.text(max_size=20).map(str.encode))


# Not those that wait, count or make bytes for as long as they are told to.
_WILD = ["scalars", "positional", "models", "arrays", "tensors", "frames", "batched", "routed", "kinds", "validators"]


@pytest.mark.integration
@pytest.mark.parametrize("pair", _WILD, indirect=True, scope="module")
def test_wild_bodies(pair: tuple[str, Pair]) -> None:
    """Random JSON as the whole body and as the value of an argument, cut and uncut."""
    name, urls = pair
    valid = [case for case in ALL[name] if case.method == "POST" and _is_object(case.body or b"")]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(valid), _BODY, st.booleans(), st.integers(0, 30))
    def check(case: Case, body: bytes, inside: bool, cut: int) -> None:
        fields = list(json.loads(case.body or b"{}"))
        if inside and fields:
            body = json.dumps(fields[cut % len(fields)]).encode().join([b"{", b":" + body + b"}"])
        elif cut > 25:
            body = (case.body or b"")[: cut - 20]
        wild = Case(case.path, body)
        assert _fixed(ask(urls.ours, wild)) == _fixed(ask(urls.stock, wild))

    check()


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _fixed(answer: Answered) -> Answered:
    return replace(answer, body=_OWN.sub(b"", answer.body))
