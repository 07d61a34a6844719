"""Features: a project's Feast repository registered, materialized and read. Feast is imported inside functions."""

from boxplat.features.definitions import apply
from boxplat.features.loading import materialize
from boxplat.features.reading import get, views

__all__ = ["apply", "get", "materialize", "views"]
