"""The network behind FastAPI, as people write it: Pydantic in and out, a call for each request."""

from __future__ import annotations

import numpy as np
from fastapi import FastAPI
from network import Network
from pydantic import BaseModel

app = FastAPI()
network = Network()


class Rows(BaseModel):
    x: list[list[float]]


class Answer(BaseModel):
    y: list[list[float]]


@app.post("/asynchronous")
async def asynchronous(rows: Rows) -> Answer:
    return Answer(y=network(np.asarray(rows.x)).tolist())


@app.post("/threaded")
def threaded(rows: Rows) -> Answer:
    return Answer(y=network(np.asarray(rows.x)).tolist())
