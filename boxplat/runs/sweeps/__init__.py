"""Sweeps: many runs of one flow with different parameters, as a grid or by a search."""
