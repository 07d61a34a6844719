"""The least that uvicorn can do: it gives the body back."""

import json

from contenders import JSON, ROW, UVICORN, Contender, Way

BODY = json.dumps({"x": [ROW]}).encode()
ECHO = Contender(
    name="echo",
    told="uvicorn, bare echo",
    command=("-m", "uvicorn", "echo_app:app", *UVICORN),
    ways=(Way("echo", "/", BODY, lambda found: None if found == BODY else found, JSON),),
    inherits=True,
    tuned="uvloop, httptools, no access log",
)
