"""Registered models as one callable, on the back end that was measured to be the fastest with the same answers.

    from boxplat.serving import backends

    model = backends.load("models:/delay@champion")
    probabilities = model(rows)         # arrays in, arrays out

Nothing heavy is imported before `load`, and then only what the chosen back end needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxplat.serving.backends.eager import program as program
    from boxplat.serving.backends.loading import load as load
    from boxplat.serving.backends.model import Model as Model
    from boxplat.serving.backends.source import Source as Source
    from boxplat.serving.backends.source import opened as opened

_HOMES = {"load": "loading", "Model": "model", "Source": "source", "opened": "source", "program": "eager"}

__all__ = ["Model", "Source", "load", "opened", "program"]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
