"""Point-in-time joins: to each entity row the newest feature row that was known then. Knows nothing of Feast."""

from boxplat.features.join.request import EntityQuery, History, Options
from boxplat.features.join.verbs import join, stream, write

__all__ = ["EntityQuery", "History", "Options", "join", "stream", "write"]
