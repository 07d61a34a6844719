"""The network: its transform, its export, its attributions, and that a seed fixes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flights import package
from flights.dataset import Rows
from flights.fit import Fitted, Recipe, fit, predict
from flights.model import inverse_normal
from flights.preparation import category_codes, model_input
from scipy.special import ndtri

COUNT = 5_000


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Synthetic flights of January to September: ties, missing values, a rare destination, a learnable label."""
    rng = np.random.default_rng(7)
    numeric = rng.normal(size=(COUNT, 49)).astype(np.float32)
    numeric[:, 1] = rng.integers(1, 8, COUNT)
    numeric[rng.random((COUNT, 49)) < 0.05] = np.nan
    category = {
        "carrier": rng.choice(["AA", "DL", "UA"], COUNT),
        "origin": rng.choice(["EWR", "JFK", "LGA"], COUNT),
        "dest": np.where(np.arange(COUNT) % 1000 == 0, "XNA", rng.choice(["ATL", "BOS"], COUNT)),
    }
    chance = 1 / (1 + np.exp(-2 * np.nan_to_num(numeric[:, 0]) - (category["carrier"] == "UA")))
    y = (rng.random(COUNT) < chance).astype(np.float32)
    sched = np.arange(COUNT)
    return Rows(numeric, category, y, np.sort(rng.integers(1, 10, COUNT)), sched, sched)


@pytest.fixture(scope="module")
def fitted(rows: Rows) -> Fitted:
    torch.set_num_threads(1)  # as a loaded model leaves it; sums in another order are other numbers
    return fit(rows, Recipe(epochs=2, batch=512), lambda line: None)


@pytest.fixture(scope="module")
def folder(fitted: Fitted, rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as it is registered."""
    path = tmp_path_factory.mktemp("model")
    package.save(path, fitted, fitted.preparation.matrix(rows.take(slice(0, 8))), package.specification(fitted, 0.3))
    package.save_calibration(path, rows.months([9]), fitted.preparation.levels)
    return path


def test_inverse_normal_is_that_of_scipy() -> None:
    p = np.concatenate([np.linspace(0.001, 0.999, 4001), [0.02424, 0.02426, 0.97574, 0.97576]])
    np.testing.assert_allclose(inverse_normal(torch.tensor(p)).numpy(), ndtri(p), rtol=2e-9, atol=2e-9)


def test_scores_are_ranks_among_the_training_quantiles(fitted: Fitted, rows: Rows) -> None:
    """Oracle: interpolation from the left and from the right, averaged, as in scikit-learn's QuantileTransformer."""
    knots, matrix = fitted.preparation.knots, rows.numeric[:500]
    place = np.linspace(0, 1, knots.shape[1])
    expected = np.empty_like(matrix)
    for j, x in enumerate(matrix.T):
        right = np.interp(x, knots[j], place)
        left = -np.interp(-x, -knots[j][::-1], -place[::-1])
        expected[:, j] = ndtri(np.clip((left + right) / 2, 0.001, 0.999))
    scores = fitted.net.encoder.scores(torch.from_numpy(matrix)).numpy()[:, :49]
    np.testing.assert_allclose(scores, np.nan_to_num(expected), atol=2e-3)
    assert (scores[np.isnan(matrix)] == 0).all()


def test_the_registered_model_equals_the_trained_one(fitted: Fitted, rows: Rows, folder: Path) -> None:
    """Exported and read back without any class of ours; one row and many; everything missing stays finite."""
    loaded = package.Packaged.load(folder)
    matrix = fitted.preparation.matrix(rows)
    for count in (1, 2, 3_000):
        np.testing.assert_allclose(
            predict(loaded.net, matrix[:count]), predict(fitted.net, matrix[:count]), rtol=0, atol=1e-5
        )
    nothing = np.full((2, 52), np.nan, dtype=np.float32)
    nothing[:, 49:] = 0
    assert np.isfinite(predict(loaded.net, nothing)).all()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pth", ".pickle")]


def test_a_model_of_other_features_is_refused(folder: Path, rows: Rows) -> None:
    loaded = package.Packaged.load(folder)
    loaded.specification["numeric"].reverse()
    with pytest.raises(ValueError, match="made for other features"):
        loaded.predict(rows)


def test_attributions_sum_to_the_difference_from_the_median(rows: Rows, folder: Path) -> None:
    import delay_model

    model = delay_model.load(str(folder))
    matrix = model_input(rows.take(slice(0, 300)), model.spec["levels"])
    start, logits, parts = model.attributions(matrix)
    np.testing.assert_allclose(parts.sum(1).numpy(), (logits - start).numpy(), atol=1e-4)
    np.testing.assert_allclose(torch.sigmoid(logits).numpy(), model.probabilities(matrix), atol=1e-6)
    median = np.asarray([model.spec["baseline"]], np.float32)
    assert model.attributions(median)[2].abs().max() == 0
    changed = median.copy()
    changed[0, 0] += 1.5
    only = model.attributions(changed)[2][0]
    assert only[0] != 0 and only[1:].abs().max() == 0


def test_the_calibration_table_has_rows_that_the_model_was_not_trained_on(folder: Path, rows: Rows) -> None:
    with np.load(folder / package.CALIBRATION, allow_pickle=False) as table:
        inputs, labels = table["rows"], table["labels"]
    held_out = rows.months([9])
    assert inputs.shape == (len(labels), 52) and 0 < len(labels) <= len(held_out)
    np.testing.assert_array_equal(inputs[:, :49], held_out.numeric)
    np.testing.assert_array_equal(labels, held_out.y)


def test_the_seed_fixes_the_weights(fitted: Fitted, rows: Rows) -> None:
    again = fit(rows, Recipe(epochs=2, batch=512), lambda line: None)
    other = fit(rows, Recipe(seed=1, epochs=2, batch=512), lambda line: None)
    same = [torch.equal(a, b) for a, b in zip(fitted.net.parameters(), again.net.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(next(fitted.net.head.parameters()), next(other.net.head.parameters()))


def test_early_stop_restores_the_best_epoch(rows: Rows) -> None:
    long = fit(rows, Recipe(epochs=12, batch=256, rate=0.05), lambda line: None)
    assert long.best_epoch == int(np.argmin(long.losses)) + 1 <= len(long.losses) <= long.best_epoch + 2


def test_nothing_is_learnt_from_later_months(fitted: Fitted, rows: Rows) -> None:
    later = rows.month > 7
    twisted = Rows(rows.numeric.copy(), rows.category, rows.y, rows.month, rows.sched, rows.id)
    twisted.numeric[later] = 99.0
    changed = fit(twisted, Recipe(epochs=1, batch=512), lambda line: None).preparation
    np.testing.assert_array_equal(changed.knots, fitted.preparation.knots)
    assert changed.medians == fitted.preparation.medians


def test_rare_and_unknown_levels_are_other(fitted: Fitted) -> None:
    levels = fitted.preparation.levels["dest"]
    assert levels == ["ATL", "BOS"]
    assert category_codes(np.array(["ATL", "BOS", "XNA", "AAA", "ZZZ"]), levels).tolist() == [1, 2, 0, 0, 0]
