"""On a machine with an NVIDIA device (`pytest -m device`); needs torch and pytest only."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from boxplat.serving import backends
from tests.serving.backends import models

pytestmark = pytest.mark.device
SIZES = (1, 2, 3, 7, 8, 31, 64, 65, 200)


def rows(count: int, seed: int = 0) -> np.ndarray:
    numbers = np.random.default_rng(seed).normal(size=(count, 5))
    numbers[numbers > 1.5] = np.nan
    return models.rows_of(numbers, np.arange(count) % 4)


@pytest.fixture(autouse=True, scope="module")
def device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.exported(models.Gated(), tmp_path_factory.mktemp("gated"))


@pytest.fixture(scope="module")
def eager(folder: Path) -> backends.Model:
    return backends.load(folder, backend="eager")


@pytest.mark.parametrize(
    ("name", "tolerance"), [("cuda", 1e-5), ("cuda-graphs", 1e-5), ("cuda-bfloat16", 0.03), ("cuda-float16", 0.005)]
)
def test_answers_are_eagers(folder: Path, eager: backends.Model, name: str, tolerance: float) -> None:
    model = backends.load(folder, backend=name, batches=(1, 64))
    for count in (0, *SIZES):
        np.testing.assert_allclose(model(rows(count, count)), eager(rows(count, count)), rtol=0, atol=tolerance)


def test_a_short_batch_after_a_long_one_is_not_mixed_up_with_it(folder: Path, eager: backends.Model) -> None:
    model = backends.load(folder, backend="cuda-graphs", batches=(64,))
    first = model(rows(64, 1))
    kept = first.copy()
    np.testing.assert_allclose(model(rows(33, 2)), eager(rows(33, 2)), atol=1e-5)
    np.testing.assert_array_equal(first, kept, "an answer that was given must not change")


def test_threads_get_their_own_answers(folder: Path, eager: backends.Model) -> None:
    model = backends.load(folder, backend="cuda-graphs", batches=(16,))
    wrong: list[int] = []

    def ask(seed: int) -> None:
        batch = rows(1 + seed % 16, seed)
        wrong.extend(seed for _ in range(50) if not np.allclose(model(batch), eager(batch), atol=1e-5))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    folder = models.exported(models.Pair(), tmp_path)
    left, right = (np.random.default_rng(4).normal(size=(9, width)).astype(np.float32) for width in (2, 3))
    expected = backends.load(folder, backend="eager")(left, right)
    for name in ("cuda", "cuda-graphs"):
        for found, wanted in zip(backends.load(folder, backend=name)(left, right), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_narrow_weights_take_less_memory(tmp_path: Path) -> None:
    folder = models.exported(models.Gated(hidden=4096), tmp_path)
    taken = {}
    for name in ("cuda-graphs", "cuda-bfloat16"):
        before = torch.cuda.memory_allocated()
        model = backends.load(folder, backend=name, batches=(1,))
        taken[name] = torch.cuda.memory_allocated() - before
        del model
    assert taken["cuda-bfloat16"] < taken["cuda-graphs"]
