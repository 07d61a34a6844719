"""A project's history moved to the stores of a cluster, and compared: rows to PostgreSQL, files to S3."""

from boxplat.export.migrate.model import Migration, Part, Plan, Table, Target, Tree
from boxplat.export.migrate.target import target
from boxplat.export.migrate.verb import migrate, plan

__all__ = ["Migration", "Part", "Plan", "Table", "Target", "Tree", "migrate", "plan", "target"]
