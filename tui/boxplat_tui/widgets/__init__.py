"""Widgets that know the nouns of boxplat and nothing else."""
