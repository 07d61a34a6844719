"""Small models saved in the ways that services meet them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.backends import models


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exported program of `models.Gated`, and its ONNX file where calibration puts it."""
    return models.converted(models.exported(models.Gated(), tmp_path_factory.mktemp("gated")))
