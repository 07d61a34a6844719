"""HTTP/1.1 for an endpoint: its connections, the short way of plain requests, limits, and the end of a server."""
