"""The network as a Bento service, asked in the ways that BentoML has; both servers run it with these settings."""

import os

import bentoml
import numpy as np
from network import Network

BATCHES = {
    "batchable": True,
    "max_batch_size": int(os.environ.get("BENCH_BATCH", "64")),
    "max_latency_ms": int(os.environ.get("BENCH_LATENCY_MS", "10000")),
}


@bentoml.service(logging={"access": {"enabled": False}}, tracing={"sample_rate": 0.0, "excluded_urls": ".*"})
class Mlp:
    def __init__(self) -> None:
        self.network = Network()

    @bentoml.api
    async def asynchronous(self, x: np.ndarray) -> np.ndarray:
        return self.network(x)

    @bentoml.api
    def threaded(self, x: np.ndarray) -> np.ndarray:
        return self.network(x)

    @bentoml.api(**BATCHES)
    def batched(self, x: np.ndarray) -> np.ndarray:
        return self.network(x)

    @bentoml.api(**BATCHES)
    async def batched_asynchronous(self, x: np.ndarray) -> np.ndarray:
        return self.network(x)
