"""The values of settings: from TOML and the environment into the types of the settings' fields."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Keys whose values are such times.
_TIMES = (".idle", ".within", ".settle", ".window", ".every", ".young", ".watch")
_LEAST = {
    "slice_rows": 1,
    "latency_rows": 1,
    "max_workers": 0,
    "max_runs": 0,
    "workers": 0,
    "log_days": 0,
    "log_mib": 0,
    "body_mib": 0,
    "waiting": 1,
    "warmup": 0,
    "replicas": 1,
    "memory_mib": 0,
    "reserve_mib": 0,
    "gpu_memory_mib": 0,
    "retries": 0,
    "in_flight": 1,
    "max_replicas": 0,
}
_SHARES = (".log_sample", "skew.limit", ".errors", ".alpha", ".level")


def convert(hint: Any, value: Any, path: Path, key: str) -> Any:
    """The value in a field's type; texts (from the environment) are parsed.

    Args:
        hint: the type.
        key: `section.key`, for limits that hold for some keys only, and for the error.

    Raises:
        BoxError: no such value (exit code 2).
    """
    origin = typing.get_origin(hint) or hint
    if origin is bool:
        return _bool(value, path, key)
    if origin is int:
        return _int(value, path, key)
    if origin is float:
        return _float(value, path, key)
    if origin is tuple and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if origin is str and isinstance(value, str):
        return _text(value, path, key)
    if hint == Mapping[str, float] and isinstance(value, Mapping):
        return {name: _float(item, path, f"{key}.{name}") for name, item in value.items()}
    if hint == Mapping[str, int] and isinstance(value, Mapping):
        return {name: _int(item, path, f"{key}.{name}") for name, item in value.items()}
    if origin not in (str, tuple) and isinstance(value, Mapping):
        return {name: str(item) for name, item in value.items()}
    wanted = {str: "a text", tuple: "a list of texts"}.get(origin, "a table of texts")
    raise wrong(path, key, wanted, value)


def _text(value: str, path: Path, key: str) -> str:
    if key.endswith(".sticky") and not re.fullmatch(r"[A-Za-z0-9-]*", value):
        raise wrong(path, key, "the name of a header", value)
    if key.startswith("schedules.") and key.endswith(".missed") and value not in ("last", "skip", "all"):
        raise wrong(path, key, '"last", "skip" or "all"', value)
    if key == "compute.overuse" and value not in ("report", "stop"):
        raise wrong(path, key, '"report" or "stop"', value)
    if key.endswith(_TIMES) and value and not seconds(value):
        raise wrong(path, key, 'a time as "90s", "10m" or "2h", or empty', value)
    return value


def seconds(text: str) -> float:
    """Of a time as `90s`, `10m`, `2h` or `1d`; 0 for a text that is none."""
    found = re.fullmatch(r"(\d+)\s*([smhd])", text.strip())
    return float(found[1]) * _SECONDS[found[2]] if found else 0.0


def _bool(value: object, path: Path, key: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise wrong(path, key, "true or false", value)


def _int(value: object, path: Path, key: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(path, key, "a whole number", value)
    section, _, last = key.rpartition(".")
    if section.endswith(".replicas") and value < 1:
        raise wrong(path, key, "1 or more", value)
    if last in _LEAST and value < _LEAST[last]:
        raise wrong(path, key, f"{_LEAST[last]} or more", value)
    if (key.startswith("audit.") or (key.startswith("endpoints.") and last == "memory_mib")) and value < 1:
        raise wrong(path, key, "1 or more", value)
    if last in ("port", "grpc_port") and not 0 <= value <= 65535:
        raise wrong(path, key, "a port from 0 to 65535", value)
    return value


def _float(value: object, path: Path, key: str) -> float:
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except ValueError:
        found = -1.0
    if (key.endswith(_SHARES) or key.startswith("skew.limits.")) and not 0 <= found <= 1:
        raise wrong(path, key, "a share from 0 to 1", value)
    if not 0 <= found < math.inf:
        raise wrong(path, key, "a number, 0 or more", value)
    return found


def wrong(path: Path, key: str, wanted: str, value: object) -> BoxError:
    """The error for a value that a setting cannot have."""
    return BoxError(
        f"{key} in {path} must be {wanted}",
        why=f"found {value!r}",
        fix=f"correct {key} in {path} (or the BOXPLAT_ variable that sets it), then: box config --origin",
        code=ExitCode.USAGE,
    )
