"""A service whose batches take a stated time, so that its capacity is known: for overload."""

import os
import time

import bentoml
import numpy as np

PACE = float(os.environ["BENCH_PACE_MS"]) / 1000
COMPUTES = os.environ.get("BENCH_COMPUTES") == "1"


@bentoml.service(logging={"access": {"enabled": False}}, tracing={"sample_rate": 0.0, "excluded_urls": ".*"})
class Paced:
    @bentoml.api(
        batchable=True,
        max_batch_size=int(os.environ["BENCH_BATCH"]),
        max_latency_ms=int(os.environ["BENCH_LATENCY_MS"]),
    )
    def batched(self, x: np.ndarray) -> np.ndarray:
        until = time.perf_counter() + PACE
        if COMPUTES:
            some = np.ones((192, 192))
            while time.perf_counter() < until:
                # A product of this size lets other threads of the interpreter run meanwhile, as a model does.
                some @ some
        else:
            time.sleep(PACE)
        return x.sum(axis=1, keepdims=True)
