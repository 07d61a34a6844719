"""The prediction log: each answered request and what the service says of it, written beside the hot path."""
