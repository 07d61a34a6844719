"""The feature server: online reads and pushes over HTTP, in Feast's own format, without importing Feast."""
