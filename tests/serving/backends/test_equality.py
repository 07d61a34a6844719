"""Every back end of this machine answers as eager torch does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boxplat.serving import backends
from tests.serving.backends import models

NUMBERS = st.floats(-1e3, 1e3, width=32) | st.just(float("nan"))


@st.composite
def rows(draw: st.DrawFn) -> np.ndarray:
    count = draw(st.integers(0, 40))
    numbers = draw(arrays(np.float32, (count, 5), elements=NUMBERS))
    return models.rows_of(numbers, draw(arrays(np.int64, count, elements=st.integers(0, 3))))


@pytest.fixture(scope="module")
def eager(gated: Path) -> Callable[..., np.ndarray]:
    return backends.load(gated, backend="eager")


@pytest.fixture(scope="module", params=["onnxruntime", "compile"])
def other(request: pytest.FixtureRequest, gated: Path) -> backends.Model:
    return backends.load(gated, backend=request.param)


@settings(max_examples=60, deadline=None)
@given(batch=rows())
@example(batch=np.zeros((0, 6), np.float32))
@example(batch=models.rows_of(np.full((1, 5), np.nan), np.ones(1)))
def test_answers_are_eagers(eager: backends.Model, other: backends.Model, batch: np.ndarray) -> None:
    expected = eager(batch)
    found = other(batch)
    assert found.shape == expected.shape == (len(batch),) and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_rows_do_not_depend_on_their_batch(other: backends.Model) -> None:
    batch = models.rows_of(np.random.default_rng(0).normal(size=(37, 5)), np.arange(37) % 4)
    alone = np.concatenate([other(batch[i : i + 1]) for i in range(len(batch))])
    np.testing.assert_allclose(other(batch), alone, rtol=1e-4, atol=1e-6)
