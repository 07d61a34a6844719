"""A small project whose images are planned for real: a Bento as `box deploy` leaves it, flows, a feature repository."""

from __future__ import annotations

import pytest

from boxplat.adapters import tracking
from boxplat.core.config import Config, load
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export.images.model import Image
from boxplat.export.images.planning import plan

BENTO = """\
service: service:Delay
image:
  base_image: python:3.11-slim
  commands:
  - apt-get update && apt-get install -q -y --no-install-recommends --allow-remove-essential ca-certificates git
  - apt-get install -q -y libgomp1
  post_commands: ["echo 'two\\nlines'"]
"""
SETTINGS = """\
[project]
name = "Late Flights"
[services.web]
command = ["serve"]
env = {PASSWORD = "hunter2"}
"""
FILES = {
    "boxplat.toml": SETTINGS,
    "flows/train.py": "import late.model\nimport boxplat\nimport importlib.util as u\nu.find_spec('sklearn')\n",
    "flows/late/model.py": "def fit():\n    import torch\n",
    "flows/.env": "TOKEN=hunter2\n",
    "feature_repo/feature_store.yaml": "project: late\nprovider: local\n",
    "feature_repo/features.py": "import pandas\n",
    ".box/bentoml/bentos/delay/c0ffee/bento.yaml": BENTO,
    ".box/bentoml/bentos/delay/c0ffee/src/service.py": "import numpy\n",
    ".box/bentoml/bentos/delay/c0ffee/env/python/requirements.txt": "boxplat\nbentoml>=1.4\nskops  # safe\n",
}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    root = tmp_path_factory.mktemp("images") / "late"
    for file, text in FILES.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return Paths(root)


@pytest.fixture(scope="session")
def settings(project: Paths) -> Config:
    return load(project.config, {})


@pytest.fixture(scope="session")
def deployed(project: Paths, settings: Config) -> list[Service]:
    bento = "${box.state}/bentoml/bentos/delay/c0ffee"
    delay = Service(
        name="delay", command=("${box.python}", "-m", "boxplat.serving.worker", bento), kind="endpoint", port=3000
    )
    return [tracking.service(settings, project), delay, Service(name="web", command=("serve", "${box.root}/site"))]


@pytest.fixture(scope="session")
def planned(project: Paths, settings: Config, deployed: list[Service]) -> dict[str, Image]:
    return {image.component: image for image in plan(project, settings, deployed)}
