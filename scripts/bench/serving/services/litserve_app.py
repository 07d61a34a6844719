"""The network behind LitServe, in batches: `python litserve_app.py PORT`."""

from __future__ import annotations

import os
import sys
from typing import Any

import litserve
import numpy as np
from network import Network


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.network = Network()

    # LitServe takes a type here for the kind of body that FastAPI is to read.
    def decode_request(self, request) -> np.ndarray:  # type: ignore[no-untyped-def]
        return np.asarray(request["x"], dtype=np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.network(x)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output[:, None])

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"y": output.tolist()}


if __name__ == "__main__":
    api = Api(
        max_batch_size=int(os.environ.get("BENCH_BATCH", "64")),
        batch_timeout=float(os.environ.get("BENCH_WINDOW_MS", "1")) / 1000,
        api_path="/batched",
    )
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=os.environ.get("BENCH_QUEUE") == "fast")
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )
