"""FastAPI under uvicorn."""

from contenders import UVICORN, Contender, plain

FASTAPI = Contender(
    name="fastapi",
    told="FastAPI",
    command=("-m", "uvicorn", "fastapi_app:app", *UVICORN),
    ways=(plain("asynchronous", "y"), plain("threaded", "y")),
    inherits=True,
    tuned="uvloop, httptools, no access log; Pydantic models in and out; a call for each request",
)
