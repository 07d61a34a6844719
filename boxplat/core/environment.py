"""The environment of every child process: where the tools keep their files, and their phone-home switched off."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.paths import Paths

# The exact words matter: MLflow does not honour DO_NOT_TRACK=1 and BentoML honours only the word true.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "FEAST_USAGE": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# A proxy for the world outside must not get what is said on this machine.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Byte code must be cached, or every process compiles its imports again.
DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONSTARTUP")
# A profile of the user's names a file that is not in the box, and a cloud that its runs must not go to.
_FOREIGN = ("METAFLOW_PROFILE",)


def child_environment(paths: Paths, config: Config, tracking_url: str | None = None) -> dict[str, str]:
    """A copy of this process's environment, made fit for a service or a run of this project."""
    env = {key: value for key, value in os.environ.items() if key not in (*DROPPED, *_FOREIGN)}
    env.update(QUIET)
    # Tools (Metaflow's @parallel among them) start `python` from PATH.
    binaries = str(Path(sys.executable).parent)
    env["PATH"] = os.pathsep.join(
        [binaries, *(p for p in env.get("PATH", os.defpath).split(os.pathsep) if p != binaries)]
    )
    env.update(
        PYTHONUNBUFFERED="1",
        BOXPLAT_BOX=str(paths.state),
        BOXPLAT_PROJECT=str(paths.root),
        BOXPLAT_DATA=str(paths.data),
        BOXPLAT_FEATURE_REPO=str(paths.root / config.features.repo),
        METAFLOW_HOME=str(paths.metaflow / "home"),
        METAFLOW_DATASTORE_SYSROOT_LOCAL=str(paths.metaflow),
        METAFLOW_DEFAULT_DATASTORE="local",
        METAFLOW_DEFAULT_METADATA="local",
        METAFLOW_CARD_LOCALROOT=str(paths.metaflow / ".metaflow" / "mf.cards"),
        METAFLOW_CLIENT_CACHE_PATH=str(paths.metaflow / "client-cache"),
        METAFLOW_USER=_flow_user(env.get("METAFLOW_USER") or user()),
        BENTOML_HOME=str(paths.bentoml),
    )
    env.update(config.compute.environment())
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(dict.fromkeys([*filter(None, env.get(name, "").split(",")), *LOOPBACK]))
    if tracking_url:
        env["MLFLOW_TRACKING_URI"] = tracking_url
    return env


def user() -> str:
    """The user's name; the number of one that the machine has no name for, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _flow_user(name: str) -> str:
    """Metaflow refuses to run as root, which is the user in many containers."""
    return "box" if name == "root" else name
