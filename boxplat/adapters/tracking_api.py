"""MLflow's REST API (version 2.0) for the recorder and the registry verbs, on the standard library.

MLflow's own client costs a second of CPU and 170 MB in every process that imports it, and repeats a failed request for
minutes. A launcher beside each run can afford neither.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_SCHEME = "mlflow-artifacts:"
# MLflow refuses more in one request.
_METRICS, _PARAMS = 800, 100


class TrackingDownError(Exception):
    """The server cannot be reached, or answers with a fault of its own: try again later."""


class TrackingRefusedError(Exception):
    """The server answered and will not do it: trying again changes nothing."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code or status}: {message}")
        self.code = code


class TrackingApi:
    """One tracking server.

    Args:
        url: its base URL.
        timeout: seconds to wait for any one answer.
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TrackingRefusedError(0, "", f"{url!r} is no http URL of a tracking server")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._timeout = parts.hostname, parts.port, timeout
        self._base = parts.path.rstrip("/")

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if need be."""
        try:
            found = self._get("experiments/get-by-name", experiment_name=name)
            return str(found["experiment"]["experiment_id"])
        except TrackingRefusedError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            return str(self._post("experiments/create", name=name)["experiment_id"])
        except TrackingRefusedError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = self._get("experiments/get-by-name", experiment_name=name)
            return str(found["experiment"]["experiment_id"])

    def experiments(self) -> list[str]:
        """The ids of all experiments."""
        return [str(entry["experiment_id"]) for entry in self._pages("experiments/search", "experiments")]

    def search(self, experiment: str | list[str], where: str, limit: int = 1000) -> list[dict[str, Any]]:
        """Active runs of one or several experiments that match an MLflow filter."""
        body = {
            "experiment_ids": [experiment] if isinstance(experiment, str) else experiment,
            "filter": where,
            "max_results": limit,
        }
        return list(self._post("runs/search", **body).get("runs", []))

    def history(self, run_id: str, metric: str) -> list[dict[str, Any]]:
        """Every value of a metric, in the order in which they were logged."""
        return list(self._get("metrics/get-history", run_id=run_id, metric_key=metric).get("metrics", []))

    def run(self, run_id: str) -> dict[str, Any]:
        """A run's info and data."""
        return dict(self._get("runs/get", run_id=run_id)["run"])

    def create(self, experiment: str, name: str, started: float, tags: Mapping[str, str]) -> dict[str, Any]:
        """Start a run at a time (seconds since the epoch) and return it."""
        return dict(
            self._post(
                "runs/create",
                experiment_id=experiment,
                run_name=name,
                start_time=int(started * 1000),
                tags=_pairs(tags),
            )["run"]
        )

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Iterable[tuple[str, float, float, int]] = (),
    ) -> None:
        """Log in as few requests as the server's limits allow. Logging the same again changes nothing.

        Args:
            metrics: (key, value, time in seconds since the epoch, step).
        """
        left = [_metric(*metric) for metric in metrics]
        pairs, labels = _pairs(params or {}), _pairs(tags or {})
        while left or pairs or labels:
            self._post(
                "runs/log-batch", run_id=run_id, metrics=left[:_METRICS], params=pairs[:_PARAMS], tags=labels[:_PARAMS]
            )
            left, pairs, labels = left[_METRICS:], pairs[_PARAMS:], labels[_PARAMS:]

    def reopen(self, run_id: str) -> None:
        """A run goes on that had ended."""
        self._post("runs/update", run_id=run_id, status="RUNNING")

    def end(self, run_id: str, status: str, ended: float) -> None:
        """Set a run's final status: FINISHED, FAILED or KILLED."""
        self._post("runs/update", run_id=run_id, status=status, end_time=int(ended * 1000))

    def upload(self, artifact_uri: str, path: str, content: bytes) -> None:
        """Store one artifact of a run through the server.

        Args:
            artifact_uri: the run's own, as `create` returns it.
            path: where below it.
        """
        self._request("PUT", f"{_ARTIFACTS}/{quote(f'{self._place(artifact_uri)}/{path}')}", content)

    @staticmethod
    def _place(artifact_uri: str) -> str:
        if not artifact_uri.startswith(_SCHEME):
            raise TrackingRefusedError(0, "", f"artifacts at {artifact_uri} do not go through the server")
        return artifact_uri.removeprefix(_SCHEME).strip("/")

    def files(self, artifact_uri: str) -> list[str]:
        """Paths of all files below an artifact location, relative to it."""
        root = self._place(artifact_uri)
        found: list[str] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            answer = self._request("GET", f"{_ARTIFACTS}?{urlencode({'path': f'{root}/{folder}'.rstrip('/')})}")
            for entry in answer.get("files", []):
                path = f"{folder}/{entry['path']}".lstrip("/")
                (folders if entry.get("is_dir") else found).append(path)
        return found

    def download(self, artifact_uri: str, path: str, target: Path) -> None:
        """Write one file below an artifact location to `target`."""
        with self._sent("GET", f"{_ARTIFACTS}/{quote(f'{self._place(artifact_uri)}/{path}')}") as response:
            if response.status >= 300:
                _answer(response.status, response.read())
            with target.open("wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)

    def version(self, name: str, number: str) -> dict[str, Any]:
        """One version of a registered model."""
        return dict(self._get("model-versions/get", name=name, version=number)["model_version"])

    def aliased(self, name: str, alias: str) -> dict[str, Any]:
        """The version of a registered model that an alias points at."""
        return dict(self._get("registered-models/alias", name=name, alias=alias)["model_version"])

    def location(self, name: str, number: str) -> str:
        """Where the files of a version lie."""
        return str(self._get("model-versions/get-download-uri", name=name, version=number)["artifact_uri"])

    def tag_version(self, name: str, number: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version, over those of the same names."""
        for key, value in tags.items():
            self._post("model-versions/set-tag", name=name, version=number, key=key, value=value)

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Let an alias of a registered model point at a version."""
        self._post("registered-models/alias", name=name, alias=alias, version=number)

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away; nothing happens where there is none."""
        body = json.dumps({"name": name, "alias": alias}).encode()
        self._request("DELETE", f"{_API}/registered-models/alias", body)

    def registered_models(self) -> list[dict[str, Any]]:
        """Every registered model, with its aliases."""
        return self._pages("registered-models/search", "registered_models")

    def model_versions(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every version, of one model or of all."""
        where = {"filter": f'name="{name}"'} if name is not None else {}
        return self._pages("model-versions/search", "model_versions", **where)

    def _pages(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            page = self._get(path, max_results="200", **query, **more)
            rows += page.get(key, [])
            token = page.get("next_page_token", "")
            if not token:
                return rows

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._request("GET", f"{_API}/{path}?{urlencode(query)}")

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._request("POST", f"{_API}/{path}", json.dumps(body, allow_nan=False).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        with self._sent(method, path, body) as response:
            return _answer(response.status, response.read())

    @contextlib.contextmanager
    def _sent(self, method: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        kind = "application/octet-stream" if method == "PUT" else "application/json"
        # A connection for each request: the server closes idle ones, and a request lost that way must not be repeated.
        connection = self._kind(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, self._base + path, body, {"Content-Type": kind})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise TrackingDownError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()


def _answer(status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content or b"{}")
    except ValueError:
        answer = {"message": content[:200].decode(errors="replace")}
    if status < 300 and isinstance(answer, dict):
        return answer
    text = str(answer.get("message", answer) if isinstance(answer, dict) else answer)[:500]
    # Refused access says nothing about the request itself: that server may not be ours, or may let us in later.
    if status >= 500 or status in (401, 403, 408, 429):
        raise TrackingDownError(f"status {status}: {text}")
    code = str(answer.get("error_code", "")) if isinstance(answer, dict) else ""
    raise TrackingRefusedError(status, code, text)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _metric(key: str, value: float, at: float, step: int) -> dict[str, Any]:
    # JSON has no NaN; protobuf's JSON form of a double spells it as a text.
    number: float | str = value
    if math.isnan(value):
        number = "NaN"
    elif math.isinf(value):
        number = "Infinity" if value > 0 else "-Infinity"
    return {"key": key, "value": number, "timestamp": int(at * 1000), "step": step}
