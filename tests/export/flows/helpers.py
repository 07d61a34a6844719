"""Not a flow: code that flows share."""

LIMIT = 3
