"""Which models BentoML made of a function's signature, with no rules of a person's own in them."""

from __future__ import annotations

from typing import Any


def is_derived(spec: Any, root: bool) -> bool:
    """Whether it has nothing but its fields: no validators, serialisers, settings or methods."""
    from _bentoml_sdk.io_models import IODescriptor, IORootModel, ensure_io_descriptor  # type: ignore[import-untyped]
    from pydantic import create_model

    if root:
        bare, base, above = ensure_io_descriptor(int), IORootModel, 2
    else:
        bare, base, above = create_model("Input", __base__=IODescriptor, x=(int, ...)), IODescriptor, 1
    own = {"__root_input__", "media_type", "__annotations__"}
    return (
        spec.__mro__[above] is base
        and vars(spec).keys() <= vars(bare).keys() | own
        and spec.__pydantic_decorators__ == bare.__pydantic_decorators__
        and not spec.model_config
    )
