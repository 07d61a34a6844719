"""A small network, asked in the three ways that BentoML has."""

import bentoml
import numpy as np
import torch


@bentoml.service
class Mlp:
    def __init__(self) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        layers = [torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers, torch.nn.Linear(256, 1)).eval()

    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.network(torch.from_numpy(x.astype(np.float32))).numpy()

    @bentoml.api
    async def asynchronous(self, x: np.ndarray) -> np.ndarray:
        return self.predict(x)

    @bentoml.api
    def threaded(self, x: np.ndarray) -> np.ndarray:
        return self.predict(x)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def batched(self, x: np.ndarray) -> np.ndarray:
        return self.predict(x)
