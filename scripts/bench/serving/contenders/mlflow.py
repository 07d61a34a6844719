"""`mlflow models serve`: uvicorn and FastAPI, as MLflow 3 starts them."""

import json

from contenders import JSON, ROW, Contender, Way

MODEL = ("-m", "{scratch}/model", "--env-manager", "local")
MLFLOW = Contender(
    name="mlflow",
    told="`mlflow models serve`",
    command=("-m", "mlflow", "models", "serve", *MODEL, "-w", "1", "-h", "127.0.0.1", "-p", "{port}"),
    ways=(
        Way(
            "invocations",
            "/invocations",
            json.dumps({"inputs": [ROW]}).encode(),
            lambda found: json.loads(found)["predictions"],
            JSON,
        ),
    ),
    before=("mlflow_model.py", "{scratch}/model"),
    env={"UVICORN_ACCESS_LOG": "0", "UVICORN_LOG_LEVEL": "warning", "MLFLOW_DISABLE_TELEMETRY": "true"},
    tuned="one worker, no access log; a pyfunc model from code with a tensor signature",
)
