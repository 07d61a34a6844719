"""LitServe with batches."""

from contenders import Contender, plain

LITSERVE = Contender(
    name="litserve",
    told="LitServe",
    command=("litserve_app.py", "{port}"),
    ways=(plain("batched", "y"),),
    env={"BENCH_QUEUE": "fast"},
    tuned="batches of up to 64, a window of 1 ms, fast_queue, one worker, no access log (`tune` tries others)",
)
