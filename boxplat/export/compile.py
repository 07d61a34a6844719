"""Flows compiled to Argo WorkflowTemplates by Metaflow itself, in a process of its own and without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from boxplat.adapters import flows
from boxplat.adapters.flow_requests import VRAM
from boxplat.core.environment import QUIET
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.model import FLOWS, Flow, Policy

EXTENSION = Path(__file__).parent / "extension"
_SECONDS = 120
_COMMAND = ("--no-pylint", "argo-workflows", "create", "--only-json", "--no-auto-emit-argo-events")
# A user's own Metaflow profile or cloud credentials must not reach a manifest.
_DROPPED = ("METAFLOW_", "AWS_", "PYTHONDONTWRITEBYTECODE")


def compile_flows(files: Sequence[Path], root: Path, policy: Policy) -> tuple[Flow, ...]:
    """Compile flow files, as many at once as there are cores; the order of the results is that of the files.

    Args:
        files: flow files.
        root: the project's folder, in which the flows start as in a run.

    Raises:
        BoxError: Metaflow refuses a flow, or does not end within two minutes.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return tuple(pool.map(lambda file: _compile(file, root, policy), files))


def _compile(file: Path, root: Path, policy: Policy) -> Flow:
    with tempfile.TemporaryDirectory(prefix="boxplat-export-") as folder:
        work = Path(folder)
        result = work / "template.json"
        command = [sys.executable, str(file), *_COMMAND, "--deployer-attribute-file", str(result)]
        output = _run(command, root, environment(work, policy, _extensions(file)), file)
        if not result.exists():
            raise _refused(file, output)
        compiled = json.loads(result.read_text(encoding="utf-8"))
        store = work / "store"
        packages = {
            path.relative_to(store).as_posix(): path.read_bytes()
            for path in sorted(store.rglob("*"))
            if path.is_file() and not path.name.endswith("_meta")
        }
        template = compiled["additional_info"]["workflow_template"]
        return Flow(file=file.name, name=compiled["flow_name"], template=template, packages=packages)


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
            why="the flow waits for something when it is imported, or an IncludeFile needs a real object store",
            fix=f"python {file} show",
            code=ExitCode.TIMED_OUT,
        ) from error
    return child.stdout


def _refused(file: Path, output: str) -> BoxError:
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return BoxError(
        f"Metaflow cannot compile {file.name} for Argo Workflows",
        why="\n".join(said[-6:]) or "it said nothing",
        fix=f"correct the flow, then: python {file} check",
    )


def _extensions(file: Path) -> list[Path]:
    """What Metaflow finds besides itself; a flow that imports `vram` takes the extension that has it to the cluster."""
    return [EXTENSION, *([flows.EXTENSION] if VRAM.encode() in file.read_bytes() else [])]


def environment(work: Path, policy: Policy, extensions: Sequence[Path] = (EXTENSION,)) -> dict[str, str]:
    """The environment of a compilation: nothing of the machine or its user that would end up in the template."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
    paths = [*map(str, extensions), env.get("PYTHONPATH", "")]
    settings = {
        "DEFAULT_DATASTORE": "s3",
        "DATASTORE_SYSROOT_S3": f"{policy.storage}/metaflow",
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
        "ARGO_EVENTS_EVENT": "metaflow-event",
        "ARGO_EVENTS_EVENT_SOURCE": "argo-events-webhook",
        "ARGO_EVENTS_SERVICE_ACCOUNT": FLOWS,
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
