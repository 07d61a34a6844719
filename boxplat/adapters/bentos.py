"""BentoML's door: Bentos built without network, and what it takes to run one as an endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from boxplat.core import digests
from boxplat.core.config import Config, EndpointConfig
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.feature_store import FEATURES, has_box_store
from boxplat.core.model import ANY_PORT, Release, Service
from boxplat.core.paths import BENTO_FACTS, Paths
from boxplat.core.replicas import KIND, Replica
from boxplat.core.values import seconds

RELEASE = "BOXPLAT_RELEASE"
METRICS = "PROMETHEUS_MULTIPROC_DIR"
_IGNORED = frozenset({"__pycache__", ".git", ".venv", "venv", ".DS_Store"})
_BUILD_SECONDS = 600
# Another one makes every Bento be built anew: when a build notes other facts.
_FACTS_VERSION = 2
_SETTINGS = ("workers", "log_sample", "log_days", "log_mib", "body_mib", "waiting")
_PINNED = (*_SETTINGS, "memory_mib", "gpu_memory_mib", "idle")


def content_version(folder: Path) -> str:
    """A Bento version that changes with the folder's content, BentoML's version or Python's, and what builds note."""
    made_with = f"{metadata.version('bentoml')} {sys.version_info[:2]}{_FACTS_VERSION}"
    files = ((file.relative_to(folder).as_posix(), file) for file in _files(folder))
    # A letter first: YAML would read some hexadecimal texts as numbers.
    return "c" + digests.of_tree(files, made_with)[:15]


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not _IGNORED.intersection(file.relative_to(folder).parts):
            yield file


def find(paths: Paths, version: str) -> str | None:
    """The tag of the complete Bento with this version, if it is in the store."""
    for facts in sorted((paths.bentoml / "bentos").glob(f"*/{version}/{BENTO_FACTS}")):
        return str(json.loads(facts.read_text(encoding="utf-8"))["tag"])
    return None


def build(folder: Path, paths: Paths, config: Config, told: Callable[[str], None] = lambda line: None) -> str:
    """Build the Bento of a folder into the project's store, or find the one built from the same content before.

    Args:
        told: called with a line of progress before work that takes seconds.

    Returns:
        The Bento's tag, `name:version`.

    Raises:
        BoxError: there is no such folder (exit code 9), or its service cannot be imported or built (exit code 1).
    """
    if not folder.is_dir() or not any(_files(folder)):
        raise BoxError(
            f"no Bento at {folder}",
            why="the folder does not exist or is empty",
            fix=f"write {folder / 'service.py'}, or correct `bento` of the endpoint in {paths.config}",
            code=ExitCode.NOT_FOUND,
        )
    version = content_version(folder)
    tag = find(paths, version)
    if tag is None:
        shown = folder.relative_to(paths.root) if folder.is_relative_to(paths.root) else folder.name
        told(f"building the Bento in {shown}")
        log = paths.logs / f"build-{folder.name}.log"
        status = _run_build(folder, version, log, child_environment(paths, config))
        # Looked for even after a failure: somebody else may have built the same content meanwhile.
        tag = find(paths, version)
        if tag is None:
            raise BoxError(
                f"cannot build the Bento in {folder}",
                why=last_words(log) or f"the build ended with status {status}",
                fix=f"correct {folder / 'service.py'}, then deploy again",
                log=log,
            )
    return tag


def _run_build(folder: Path, version: str, log: Path, env: Mapping[str, str]) -> int:
    command = [sys.executable, "-P", "-m", "boxplat.serving.build", str(folder), version]
    with log.open("wb") as output:
        try:
            result = subprocess.run(
                command,
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            output.write(f"the build took longer than {_BUILD_SECONDS} s\n".encode())
            return 1
    return result.returncode


def last_words(log: Path, start: int = 0, lines: int = 10) -> str:
    """The last lines of a log after `start` bytes of it, without BentoML's routine messages."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A log that was rotated meanwhile is shorter than it was.
            file.seek(max(start if start <= size else 0, size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    said = [line for line in text.splitlines() if line.strip() and "[INFO]" not in line]
    return "\n".join(said[-lines:])


def pinned(settings: EndpointConfig) -> dict[str, Any]:
    """What a release keeps of its endpoint's settings: all that its processes depend on."""
    chosen = {name: getattr(settings, name) for name in _PINNED}
    return {**chosen, "env": dict(settings.env), "grpc": bool(settings.grpc_port)}


def _settings(release: Release, config: Config) -> EndpointConfig:
    """The settings of now with those that the release has pinned. One that is older than that has none."""
    now = config.endpoints.get(release.endpoint, EndpointConfig())
    fixed = dict(release.settings)
    if "grpc" in fixed:
        fixed["grpc_port"] = (now.grpc_port or 1) if fixed.pop("grpc") else 0
    known = {name: value for name, value in fixed.items() if name in EndpointConfig.__dataclass_fields__}
    return replace(now, **known)


def replica(which: Replica, release: Release, config: Config, paths: Paths) -> Service:
    """The declaration of one process of a release, beside those of other releases.

    Raises:
        BoxError: the Bento is gone (exit code 9).
    """
    found = service(release, config, paths)
    env = dict(found.env)
    if METRICS in env:
        env[METRICS] = f"${{box.state}}/bentoml/metrics-{which.name}"
    grpc_port = ANY_PORT if found.grpc_port else 0
    return replace(found, name=which.name, kind=KIND, env=env, port=0, grpc_port=grpc_port, replicas=1)


def service(release: Release, config: Config, paths: Paths) -> Service:
    """The declaration of an endpoint that serves a release.

    A service runs in boxplat's server on the supervisor's listening socket. One with a command of its own, or with a
    dependency that asks for workers or devices of its own, needs BentoML's parent process, which opens its socket
    itself.

    Raises:
        BoxError: the Bento is gone (exit code 9).
    """
    endpoint, settings = release.endpoint, _settings(release, config)
    name, _, version = release.bento.partition(":")
    folder = f"${{box.state}}/{paths.bentoml.name}/bentos/{name}/{version}"
    facts = _facts(paths, name, version)
    # An older build noted only whether one process was enough.
    own_server = bool(facts.get("own_server", facts.get("single_process")))
    env = {**settings.env, **_environment(release, config, paths)}
    command: tuple[str, ...] = ("-m", "bentoml", "serve", folder, "--host", "127.0.0.1", "--port", "${self.port}")
    if own_server:
        command = ("-m", "boxplat.serving.worker", folder, "--fd", "${self.fd}", *_flags(endpoint, settings))
        env[METRICS] = f"${{box.state}}/bentoml/metrics-{endpoint}"
    return Service(
        name=endpoint,
        command=("${box.python}", *command),
        kind="endpoint",
        env=env,
        port=settings.port,
        listen=own_server,
        health=str(facts["health"]),
        # As BentoML has it: modules of the project that are not in the Bento must not be found by accident.
        cwd=folder,
        start_seconds=120.0,
        replicas=settings.replicas,
        memory_mib=settings.memory_mib,
        gpu_memory_mib=settings.gpu_memory_mib,
        grpc_port=settings.grpc_port if own_server else 0,
        idle_seconds=seconds(settings.idle),
    )


def _flags(endpoint: str, settings: EndpointConfig) -> list[str]:
    """Where the worker logs, and the settings that are not at their defaults."""
    plain = EndpointConfig()
    flags = ["--log", f"${{box.state}}/predictions/{endpoint}"] if settings.log_sample else []
    if settings.grpc_port:
        flags += ["--grpc-port", "${self.grpc_port}"]
    for name in _SETTINGS:
        if getattr(settings, name) != getattr(plain, name):
            flags += [f"--{name.replace('_', '-')}", str(getattr(settings, name))]
    return flags


def _environment(release: Release, config: Config, paths: Paths) -> dict[str, str]:
    env = {
        "MLFLOW_TRACKING_URI": "${tracking.url}",
        "BOXPLAT_FEATURE_REPO": f"${{box.root}}/{config.features.repo}",
        "BOXPLAT_ENDPOINT": release.endpoint,
        RELEASE: str(release.number),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_RESULT_STORE": f"${{box.state}}/bentoml/tasks-{release.endpoint}.db",
    }
    if release.model:
        env["BOXPLAT_MODEL_URI"] = f"models:/{release.model}/{release.model_version}"
    if release.feature_service:
        env["BOXPLAT_FEATURE_SERVICE"] = release.feature_service
        if has_box_store(paths, config):
            env["BOXPLAT_FEATURES_URL"] = f"${{{FEATURES}.url}}"
    return env


def metrics(paths: Paths, service: str) -> Path:
    """Where the workers of a release's process keep their counters."""
    return paths.bentoml / f"metrics-{service}"


def largest_batch(paths: Paths, tag: str) -> int | None:
    """Most rows that a Bento's batchable APIs take at once; None where none batches, or where the Bento is gone."""
    name, _, version = tag.partition(":")
    try:
        found = _facts(paths, name, version).get("batches")
    except BoxError:
        return None
    return None if found is None else int(found)


def _facts(paths: Paths, name: str, version: str) -> dict[str, Any]:
    path = paths.bentoml / "bentos" / name / version / BENTO_FACTS
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoxError(
            f"the Bento {name}:{version} is gone",
            why=f"{path} cannot be read: {error.strerror}",
            fix="deploy the endpoint again: it is rebuilt from its folder",
            code=ExitCode.NOT_FOUND,
        ) from error
    return facts
