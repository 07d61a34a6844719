"""Endpoints and their releases: made, put live, split, taken back, called; and the models that they serve."""
