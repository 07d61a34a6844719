"""boxplat's own worker on a socket of the supervisor's kind."""

from contenders import SERVICES, Contender, plain, tensors

BOXPLAT = Contender(
    name="boxplat",
    told="boxplat",
    command=("-m", "boxplat.serving.worker", "service:Mlp", "--fd", "{fd}"),
    ways=(
        plain("asynchronous"),
        plain("threaded"),
        plain("batched"),
        plain("batched_asynchronous"),
        tensors("batched"),
    ),
    folder=SERVICES / "mlp",
    inherits=True,
    tuned="defaults; the same service object and settings as `bentoml serve`",
)
