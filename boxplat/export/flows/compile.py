"""Flows compiled to Argo WorkflowTemplates by Metaflow itself, in a process of its own and without a network."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from boxplat.adapters import flows
from boxplat.adapters.flow_requests import VRAM
from boxplat.core.environment import QUIET
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.flows import events
from boxplat.export.model import FLOWS, STORAGE, Declared, Decorator, Flow, Policy

EXTENSION = Path(__file__).parent / "extension"
_NOTED = Path(__file__).parent / "noted"
_SECONDS = 120
# Where no flow waits for another's end, telling of it would only cost the time of trying.
_TRIGGER = re.compile(rb"^\s*@(\w+\.)*trigger", re.MULTILINE)
# Metaflow shortens no name that is given to it, and takes none that is longer.
_LONGEST = 45
_COMMAND = ("create", "--only-json")
# A user's own Metaflow profile or cloud credentials must not reach a manifest.
_DROPPED = ("METAFLOW_", "AWS_", "PYTHONDONTWRITEBYTECODE")


def compile_flows(files: Sequence[Path], root: Path, policy: Policy) -> tuple[tuple[Flow, ...], tuple[BoxError, ...]]:
    """Compile flow files, as many at once as there are cores; the order of the results is that of the files.

    Args:
        files: flow files.
        root: the project's folder, in which the flows start as in a run.

    Returns:
        The flows, and why Metaflow refuses the others or did not end within two minutes.

    Raises:
        OSError: the disk is full.
    """
    triggered = any(_TRIGGER.search(file.read_bytes()) for file in files)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda file: _attempt(file, root, policy, triggered), files))
    compiled = tuple(result for result in results if isinstance(result, Flow))
    return compiled, tuple(result for result in results if isinstance(result, BoxError))


def _attempt(file: Path, root: Path, policy: Policy, triggered: bool) -> Flow | BoxError:
    try:
        return _compile(file, root, policy, triggered)
    except BoxError as error:
        return error


def _compile(file: Path, root: Path, policy: Policy, triggered: bool) -> Flow:
    with tempfile.TemporaryDirectory(prefix="boxplat-export-") as folder:
        work = Path(folder)
        result, record = work / "template.json", work / "record.json"
        command = [sys.executable, str(file), "--no-pylint", "argo-workflows", *_named(file), *_COMMAND]
        command.append("--auto-emit-argo-events" if triggered else "--no-auto-emit-argo-events")
        env = environment(work, policy, _extensions(file)) | {"BOXPLAT_EXPORT_RECORD": str(record)}
        if triggered:
            env["METAFLOW_ARGO_EVENTS_WEBHOOK_URL"] = events.url(policy.namespace)
        output = _run([*command, "--deployer-attribute-file", str(result)], root, env, file)
        if not result.exists():
            raise _refused(file, output)
        compiled = json.loads(result.read_text(encoding="utf-8"))
        known = json.loads(record.read_text(encoding="utf-8"))
        return Flow(
            file=file.name,
            name=compiled["flow_name"],
            template=compiled["additional_info"]["workflow_template"],
            packages=_packages(work / "store"),
            sensor=known["sensor"],
            declared=_declared(known),
        )


def _named(file: Path) -> list[str]:
    """A flow whose class has a long name gets a short one; in a `@project` Metaflow makes its own."""
    name = flows.read(file).name
    if len(name) <= _LONGEST or b"@project" in file.read_bytes():
        return []
    kept = name.lower().replace("_", "")[: _LONGEST - 9].rstrip("-")
    return ["--name", f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"]


def _packages(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and not path.name.endswith("_meta")
    }


def _declared(known: Mapping[str, Any]) -> Declared:
    steps = {step: tuple(Decorator(*deco) for deco in decos) for step, decos in known["steps"].items()}
    return Declared(
        steps=steps,
        flow=tuple(Decorator(*deco) for deco in known["flow"]),
        parameters=known["parameters"],
        configs=tuple(known["configs"]),
    )


def _run(command: list[str], root: Path, env: dict[str, str], file: Path) -> str:
    try:
        child = subprocess.run(
            command,
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BoxError(
            f"compiling {file.name} took longer than {_SECONDS} s",
            why="the flow waits for something when it is imported",
            fix=f"python {file} show",
            code=ExitCode.TIMED_OUT,
        ) from error
    return child.stdout


def _refused(file: Path, output: str) -> BoxError:
    if os.strerror(errno.ENOSPC) in output:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir())
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return BoxError(
        f"Metaflow cannot compile {file.name} for Argo Workflows",
        why="\n".join(said[-6:]) or "it said nothing",
        fix=f"correct the flow, then: python {file} check",
    )


def _extensions(file: Path) -> list[Path]:
    """What Metaflow finds besides itself; what the flow needs of it goes to the cluster with its code."""
    text = file.read_bytes()
    noted = [_NOTED] if b"conda" in text or b"pypi" in text else []
    return [EXTENSION, *noted, *([flows.EXTENSION] if VRAM.encode() in text else [])]


def environment(work: Path, policy: Policy, extensions: Sequence[Path] = (EXTENSION,)) -> dict[str, str]:
    """The environment of a compilation: nothing of the machine or its user that would end up in the template."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
    paths = [*map(str, extensions), env.get("PYTHONPATH", "")]
    settings = {
        "DEFAULT_DATASTORE": "s3",
        "DATASTORE_SYSROOT_S3": f"{STORAGE}/metaflow",
        "S3_ENDPOINT_URL": policy.storage_endpoint,
        "DEFAULT_METADATA": "local",
        "DATASTORE_SYSROOT_LOCAL": str(work),
        "HOME": str(work / "home"),
        "USER": "boxplat",
        "PRODUCTION": "1",
        "KUBERNETES_NAMESPACE": policy.namespace,
        "KUBERNETES_SERVICE_ACCOUNT": FLOWS,
        "KUBERNETES_SECRETS": "storage",
        "KUBERNETES_CONTAINER_IMAGE": policy.images[FLOWS],
        "KUBERNETES_CPU": policy.step_cpu,
        "KUBERNETES_MEMORY": policy.step_memory,
        "KUBERNETES_DISK": policy.step_disk,
        "ARGO_WORKFLOWS_USE_SCHEDULES": "true",
        "ARGO_EVENTS_EVENT": events.EVENT,
        "ARGO_EVENTS_EVENT_SOURCE": events.SOURCE,
        "ARGO_EVENTS_SERVICE_ACCOUNT": events.ACCOUNT,
        "ARGO_EVENTS_SENSOR_NAMESPACE": policy.namespace,
    }
    return {
        **env,
        **QUIET,
        **{f"METAFLOW_{key}": value for key, value in settings.items() if value},
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "BOXPLAT_EXPORT_STORE": str(work / "store"),
        # Commit and branch would make the code package change with every commit that leaves the flows alone.
        "GIT_DIR": os.devnull,
    }
