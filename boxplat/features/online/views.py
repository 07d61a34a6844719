"""What Feast's objects declare, as plain `schema` values. Takes Feast's objects, but needs no import of Feast."""

from __future__ import annotations

from typing import Any

from boxplat.features.schema import Field, View

# Feast gives a view without entities this key; its rows hold none.
NO_ENTITY = "__dummy_id"
MICROSECOND = 1_000_000


def view(source: Any, *, versioned: bool = False) -> View:
    """A feature view, an on-demand view that is written, or a label view, as the store keeps it.

    Args:
        source: Feast's view.
        versioned: each version of the view has rows of its own (`enable_online_feature_view_versioning`).
    """
    return View(
        name=stored_name(source, versioned),
        keys=tuple(_field(column) for column in source.entity_columns if column.name != NO_ENTITY),
        fields=tuple(_field(column) for column in source.features),
        ttl_us=life_time_us(source),
    )


def stored_name(source: Any, versioned: bool) -> str:
    """The view's name in the store: versions after the first have a suffix, as in Feast's own stores."""
    if not versioned:
        return str(source.name)
    asked = getattr(source.projection, "version_tag", None)
    version = asked if asked is not None else getattr(source, "current_version_number", None)
    return f"{source.name}_v{version}" if version else str(source.name)


def life_time_us(source: Any) -> int | None:
    """Microseconds, None for ever: Feast takes a life time of zero to be none, and on-demand views have none."""
    ttl = getattr(source, "ttl", None)
    if not ttl:
        return None
    return int((ttl.days * 86400 + ttl.seconds) * MICROSECOND + ttl.microseconds)


def _field(column: Any) -> Field:
    return Field(str(column.name), str(column.dtype.to_value_type().name))
