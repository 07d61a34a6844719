"""Several workers of one endpoint: their parent, and what they share."""
