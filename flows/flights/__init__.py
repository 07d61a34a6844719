"""Shared code of the flight-delay sample: data, features, model and quality. Metaflow packages it with the flows."""
