"""What requests hold. The usual shapes are recognised here; all others go through Feast's own rules in `validation`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

READ, PUSH, WRITE = "/get-online-features", "/push", "/write-to-online-store"

Form = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """The members of one kind of request: their classes and defaults. What has no default must be given."""

    classes: Mapping[str, tuple[type, ...]]
    defaults: Mapping[str, Any]
    inner: Callable[[Form], bool]


def _read_fits(form: Form) -> bool:
    return set(map(type, form["entities"].values())) <= {list} and set(map(type, form["features"])) <= {str}


SHAPES = {
    READ: Shape(
        {
            "entities": (dict,),
            "feature_service": (str, type(None)),
            "features": (list,),
            "full_feature_names": (bool,),
            "include_feature_view_version_metadata": (bool,),
        },
        {
            "feature_service": None,
            "features": (),
            "full_feature_names": False,
            "include_feature_view_version_metadata": False,
        },
        _read_fits,
    ),
    PUSH: Shape(
        {
            "push_source_name": (str,),
            "df": (dict,),
            "allow_registry_cache": (bool,),
            "to": (str,),
            "transform_on_write": (bool,),
        },
        {"allow_registry_cache": True, "to": "online", "transform_on_write": True},
        lambda form: True,
    ),
    WRITE: Shape(
        {"feature_view_name": (str,), "df": (dict,), "allow_registry_cache": (bool,), "transform_on_write": (bool,)},
        {"allow_registry_cache": True, "transform_on_write": True},
        lambda form: True,
    ),
}


def quick(path: str, body: bytes, content_type: bytes) -> Form | None:
    """The form of a request of the usual shape, None for one that has to be looked at by Feast's rules.

    Args:
        content_type: empty where the request has none.
    """
    if not content_type.startswith(b"application/json"):
        return None
    shape = SHAPES[path]
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if type(given) is not dict:
        return None
    form = dict(shape.defaults)
    for name, value in given.items():
        if name in shape.classes:
            if type(value) not in shape.classes[name]:
                return None
            form[name] = value
    whole = len(form) == len(shape.classes)
    return form if whole and shape.inner(form) else None
