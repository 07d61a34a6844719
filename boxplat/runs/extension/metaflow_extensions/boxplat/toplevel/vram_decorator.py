"""`@vram("6G")`: Metaflow's own step decorators take no argument without a name."""

import importlib
from collections.abc import Callable
from typing import Any

_decorators: Any = importlib.import_module("metaflow.decorators")
_plugins: Any = importlib.import_module("metaflow.plugins")
_VRAM = next(decorator for decorator in _plugins.STEP_DECORATORS if decorator.name == "vram")


def vram(memory: Any = None) -> Callable[[Any], Any]:
    """Say how much GPU memory a step needs on each of its devices: MB as a number, or as "6G"."""

    def decorate(step: Any) -> Any:
        return _decorators._base_step_decorator(_VRAM, step, memory=memory)

    return decorate
