"""An independent answer to every point-in-time join, and what the stores say beside it."""
