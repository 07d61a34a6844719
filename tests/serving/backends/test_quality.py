"""Metrics against scikit-learn's, and differences of answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score, root_mean_squared_error

from boxplat.core.errors import BoxError
from boxplat.serving.backends import quality
from boxplat.serving.backends.compare import difference

LABELS = st.integers(2, 60).flatmap(lambda n: arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])))


@settings(deadline=None)
@given(labels=LABELS, data=st.data())
def test_metrics_are_those_of_scikit_learn(labels: np.ndarray, data: st.DataObject) -> None:
    grid = st.integers(0, 8).map(lambda eighths: eighths / 8)
    scores = data.draw(arrays(np.float64, len(labels), elements=grid))
    if 0 < labels.sum() < len(labels):
        assert quality.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
        assert quality.brier(labels, scores) == pytest.approx(brier_score_loss(labels, scores))
        spread = root_mean_squared_error(labels, scores) / labels.std()
        assert quality.rmse(labels, scores) == pytest.approx(spread)
    else:
        assert np.isnan(quality.auc(labels, scores))
    assert quality.accuracy(labels, scores) == pytest.approx(accuracy_score(labels, scores > 0.5))


def test_the_metrics_fit_the_labels_and_the_answers() -> None:
    binary, classes, numbers = np.array([0.0, 1.0]), np.array([0.0, 2.0]), np.array([0.5, 7.0])
    probabilities, logits = np.array([0.1, 0.9]), np.array([-3.0, 4.0])
    assert quality.fitting(binary, [probabilities], None) == ("auc", "brier")
    assert quality.fitting(binary, [logits[:, None]], None) == ("auc",)
    assert quality.fitting(binary, [np.column_stack([1 - probabilities, probabilities])], None) == ("auc", "brier")
    assert quality.fitting(classes, [np.eye(3)[:2]], None) == ("accuracy",)
    assert quality.fitting(numbers, [probabilities], None) == ("rmse",)
    assert quality.fitting(numbers, [probabilities], "brier") == ("brier",)
    with pytest.raises(BoxError, match="no metric 'f1'"):
        quality.fitting(binary, [probabilities], "f1")


def test_a_difference_is_relative_to_the_scale() -> None:
    expected = np.array([0.0, -200.0, 100.0], np.float32)
    assert difference([expected + 2], [expected]) == pytest.approx(0.01)
    assert difference([expected], [expected]) == 0
    assert difference([np.zeros(2)], [np.zeros(2)]) == 0
    assert difference([np.ones(2)], [np.zeros(2)]) == np.inf


@pytest.mark.parametrize(
    ("answer", "expected", "same"),
    [
        ([1.0, np.nan], [1.0, np.nan], True),
        ([1.0, np.nan], [1.0, 2.0], False),
        ([1.0, 2.0], [1.0, np.nan], False),
        ([np.inf], [-np.inf], False),
        ([np.inf, 1.0], [np.inf, 1.0], True),
        ([1.0, 2.0], [1.0], False),
    ],
)
def test_missing_and_infinite_values_must_agree(answer: list[float], expected: list[float], same: bool) -> None:
    found = difference([np.array(answer)], [np.array(expected)])
    assert found == (0 if same else np.inf)


def test_another_number_of_outputs_is_no_agreement() -> None:
    assert difference([np.zeros(1)], [np.zeros(1), np.zeros(1)]) == np.inf
