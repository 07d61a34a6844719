"""`bentoml serve` on the same folder."""

from contenders import SERVICES, Contender, plain

BENTOML = Contender(
    name="bentoml",
    told="`bentoml serve`",
    command=("-m", "bentoml", "serve", "service:Mlp", "--host", "127.0.0.1", "--port", "{port}"),
    ways=(plain("asynchronous"), plain("threaded"), plain("batched"), plain("batched_asynchronous")),
    folder=SERVICES / "mlp",
    tuned="access log and tracing off, one worker, metrics as they come; batches of up to 64, and a latency limit so "
    "long that nothing is refused (`tune` tries others)",
)
