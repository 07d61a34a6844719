"""A registered model's files and tags, for processes that serve it.

Through the server's REST API wherever the files go through the server, because MLflow's own client costs each worker a
second and 170 MB; with MLflow's client everywhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.errors import BoxError, ExitCode

_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/]+))/?")
# What MLflow's client would log in with, or trust.
_LOGIN = tuple(
    f"MLFLOW_TRACKING_{name}"
    for name in ("TOKEN", "USERNAME", "AUTH", "AWS_SIGV4", "SERVER_CERT_PATH", "CLIENT_CERT_PATH", "INSECURE_TLS")
)


@dataclass(frozen=True)
class Fetched:
    """Files of a model in a folder; `version` and `tags` where it is a version of a registered model."""

    folder: Path
    version: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def fetch(uri: str, folder: Path, url: str | None = None) -> Fetched:
    """Download a model.

    Args:
        uri: as MLflow spells it, `models:/delay@champion` say.
        folder: where to; it exists.
        url: of the tracking server; MLFLOW_TRACKING_URI where not given.

    Raises:
        BoxError: there is no such model (exit code 9), or the tracking server does not answer (3).
    """
    url = url or os.environ.get("MLFLOW_TRACKING_URI", "")
    named = _REGISTERED.fullmatch(uri)
    try:
        if named and _is_open(url):
            api = TrackingApi(url)
            version = _version(api, named)
            place = api.location(version["name"], version["version"])
            if place.startswith("mlflow-artifacts:"):
                return _through_the_server(api, version, place, folder)
        return _with_the_client(uri, folder)
    except TrackingDownError as error:
        raise BoxError(
            f"the model {uri} cannot be fetched",
            why=f"the tracking server at {url} does not answer: {error}",
            fix="box wait tracking   (or point MLFLOW_TRACKING_URI at a server that runs)",
            code=ExitCode.NO_BOX,
        ) from error
    except TrackingRefusedError as error:
        raise _missing(uri, url, str(error)) from error


def _is_open(url: str) -> bool:
    """Whether it is a server that asks for no login."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and not parts.username and not any(os.environ.get(name) for name in _LOGIN)


def _version(api: TrackingApi, named: re.Match[str]) -> dict[str, Any]:
    if named["alias"]:
        return api.aliased(named["name"], named["alias"])
    return api.version(named["name"], named["version"])


def _through_the_server(api: TrackingApi, version: dict[str, Any], place: str, folder: Path) -> Fetched:
    for name in api.files(place):
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise TrackingRefusedError(0, "", f"the file {name} lies outside of the model")
        path.parent.mkdir(parents=True, exist_ok=True)
        api.download(place, name, path)
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
    return Fetched(folder, str(version["version"]), tags)


def _with_the_client(uri: str, folder: Path) -> Fetched:
    from mlflow import MlflowClient, artifacts
    from mlflow.exceptions import MlflowException

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        path = Path(artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        named = _REGISTERED.fullmatch(uri)
        if named is None:
            return Fetched(path)
        client = MlflowClient()
        found = (
            client.get_model_version_by_alias(named["name"], named["alias"])
            if named["alias"]
            else client.get_model_version(named["name"], named["version"])
        )
        return Fetched(path, str(found.version), dict(found.tags))
    except (MlflowException, OSError) as error:
        raise _missing(uri, os.environ.get("MLFLOW_TRACKING_URI", ""), str(error)) from error


def _missing(uri: str, url: str, why: str) -> BoxError:
    return BoxError(
        f"no model {uri}",
        why=f"{url or 'MLFLOW_TRACKING_URI is not set'}: {why}",
        fix="box models list   (and correct the URI: models:/NAME/VERSION or models:/NAME@ALIAS)",
        code=ExitCode.NOT_FOUND,
    )
