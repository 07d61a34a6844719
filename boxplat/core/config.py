"""Settings: defaults < `boxplat.toml` < `BOXPLAT_<SECTION>_<KEY>` < flags, read once into one frozen `Config`."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.core.compute import ComputeConfig
from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.core.export_config import ExportConfig, GpuConfig, OverlayConfig, VerifyConfig, checked
from boxplat.core.gates import GateConfig
from boxplat.core.live import GuardsConfig, OutcomesConfig
from boxplat.core.values import convert, wrong

_NAME = "letters, digits and '-', starting with a letter"


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """`[project]`"""

    name: str = "box"


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """`[tracking]`: the MLflow server; `port` is the preferred one."""

    port: int = 5000


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """`[features]`: the folder with `feature_store.yaml`, and the preferred port of the feature server, which runs when
    the online store is boxplat's."""

    repo: str = "feature_repo"
    port: int = 6566


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """`[audit]`: the training set that `box features audit` audits by default.

    `table` is its Parquet file, `build` the code that makes its rows (`module:function` or a command), `row` the
    columns that name a row, `time` its decision time, `label` the outcome, `ids` columns that no model reads, `given`
    those that come with the request. `service` or `features` say which features are declared, `derived` maps other
    columns to the declared feature they are made of. `history` is how much of the past the code needs ("33 days").
    """

    table: str = ""
    build: str = ""
    row: tuple[str, ...] = ()
    time: str = "event_timestamp"
    label: str = ""
    ids: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    service: str = ""
    features: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    history: str = ""
    moments: int = 20
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """`[sources.NAME]`: files that a training set is built from, and when they became known.

    `known` is SQL over the row: when the row became known. `later` maps columns ("dep, dep_delay") to SQL: when their
    values became known, where that is later than their row.
    """

    path: str = ""
    known: str = ""
    later: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SkewConfig:
    """`[skew]`: how `box features skew` compares served values with recomputed ones.

    `limit` is the share of any feature's values that may differ, `limits` the same by endpoint. Numbers may differ by
    the share `tolerance` of their size.
    """

    limit: float = 0.0
    limits: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class RunConfig:
    """`[run]`: `max_workers` tasks of a flow, and `max_runs` flows, at once (0: as many as there are cores).

    `warm` tasks are forked from a process that has loaded the flow already, where that changes nothing else. Runs that
    were cut off together with the box, by a power cut for one, are gone on with at the next `box up` if `resume`.
    """

    max_workers: int = 0
    max_runs: int = 0
    warm: bool = True
    resume: bool = True


@dataclass(frozen=True, slots=True)
class RatesConfig:
    """`[rates]`: what use costs, in `currency`: an hour of a busy core, of a GiB of memory, of a GPU, and a kWh.

    `core_watts` is the power of one busy core, where the machine does not let its energy counters be read.
    """

    core_hour: float = 0.0
    memory_gib_hour: float = 0.0
    gpu_hour: float = 0.0
    kwh: float = 0.0
    currency: str = "EUR"
    core_watts: float = 10.0


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """`[schedule]`: whether flows start by themselves, at the times of `@schedule` and the events of `@trigger`."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class StartsConfig:
    """`[schedules.FLOW]`, by the flow's class name: how it starts by itself.

    `missed` is what becomes of times at which the box did not run: the "last" is made up for, or "all" are, or none
    ("skip"). With `overlap` it starts also while a run of it is not over. Not before the flows `after` have succeeded
    once in this box.
    """

    missed: str = "last"
    overlap: bool = False
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`[gateway]`: the preferred port of its readiness and statistics, and whether it logs every request."""

    port: int = 8080
    access_log: bool = True


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """`[endpoints.NAME]`: a Bento folder, the registered model and alias that it serves, and how it is served.

    `workers` processes share the socket (0: as many as the service says). `grpc_port` is the preferred port of the gRPC
    server (0: none). The prediction log keeps `log_sample` of the requests (0: no log) for `log_days` days and up to
    `log_mib` MiB. A body above `body_mib` MiB is refused, and so are requests beyond the `waiting` ones of an API.
    A new release is asked `warmup` recorded requests before it serves (0: none). Its processes stop when nothing was
    asked for the time `idle` ("10m"; empty: they never do), and start again with the next request.

    At the gateway: requests with the same value of the header `sticky` go to the same release. One that stands still
    for `timeout` seconds is given up; one whose process broke off is tried again up to `retries` times, whatever its
    method where `repeatable`. Beyond `requests_per_second` (0: no limit) or `in_flight` ones at once requests are
    refused.
    """

    bento: str = ""
    model: str = ""
    alias: str = "champion"
    feature_service: str = ""
    port: int = 3000
    workers: int = 0
    grpc_port: int = 0
    log_sample: float = 1.0
    log_days: int = 30
    log_mib: int = 1024
    body_mib: int = 100
    waiting: int = 1024
    warmup: int = 100
    idle: str = ""
    replicas: int = 1
    memory_mib: int = 1024
    gpu_memory_mib: int = 0
    watch: str = "60s"
    sticky: str = ""
    timeout: float = 120.0
    retries: int = 2
    repeatable: bool = False
    requests_per_second: float = 0.0
    in_flight: int = 1024
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """`[services.NAME]`: a process of the user's own, run with the box."""

    command: tuple[str, ...] = ()
    port: int = 0
    health: str = "/health"
    listen: bool = False
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of a project; `origins` says where each non-default value comes from."""

    project: ProjectConfig = field(default_factory=ProjectConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    run: RunConfig = field(default_factory=RunConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    rates: RatesConfig = field(default_factory=RatesConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    skew: SkewConfig = field(default_factory=SkewConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    sources: Mapping[str, SourceConfig] = field(default_factory=dict)
    endpoints: Mapping[str, EndpointConfig] = field(default_factory=dict)
    services: Mapping[str, ServiceConfig] = field(default_factory=dict)
    gates: Mapping[str, GateConfig] = field(default_factory=dict)
    outcomes: Mapping[str, OutcomesConfig] = field(default_factory=dict)
    guards: Mapping[str, GuardsConfig] = field(default_factory=dict)
    schedules: Mapping[str, StartsConfig] = field(default_factory=dict)
    gpus: Mapping[str, GpuConfig] = field(default_factory=dict)
    overlays: Mapping[str, OverlayConfig] = field(default_factory=dict)
    verify: Mapping[str, VerifyConfig] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def flat(self) -> dict[str, tuple[object, str]]:
        """`section.key` → (value, origin)."""
        rows: dict[str, tuple[object, str]] = {}
        tree = dataclasses.asdict(self)
        del tree["origins"]
        for key, value in _leaves(tree, ""):
            rows[key] = (value, self.origins.get(key, "default"))
        return rows


_SECTIONS: dict[str, type] = {
    "project": ProjectConfig,
    "tracking": TrackingConfig,
    "features": FeaturesConfig,
    "run": RunConfig,
    "schedule": ScheduleConfig,
    "compute": ComputeConfig,
    "rates": RatesConfig,
    "gateway": GatewayConfig,
    "audit": AuditConfig,
    "skew": SkewConfig,
    "export": ExportConfig,
}
_TABLES: dict[str, type] = {
    "endpoints": EndpointConfig,
    "services": ServiceConfig,
    "sources": SourceConfig,
    "gates": GateConfig,
    "outcomes": OutcomesConfig,
    "guards": GuardsConfig,
    "schedules": StartsConfig,
    "gpus": GpuConfig,
    "overlays": OverlayConfig,
    "verify": VerifyConfig,
}


def load(path: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Config:
    """Read the settings of a project.

    Args:
        path: the `boxplat.toml`; may be missing (then all defaults).
        environ: the environment; `BOXPLAT_TRACKING_PORT=5001` overrides `[tracking] port`.
        flags: typed flags as `section.key` → value.

    Raises:
        BoxError: unreadable file, unknown key, or a value of the wrong type (exit code 2).
    """
    tree = _read(path)
    known = {**_SECTIONS, **_TABLES}
    for section, table in tree.items():
        if section not in known:
            raise _unknown(path, section, known)
        if not isinstance(table, Mapping):
            raise wrong(path, section, "a table", table)
    origins: dict[str, str] = {key: str(path) for key, _ in _leaves(tree, "")}
    for section, kind in _SECTIONS.items():
        for key in _fields(kind):
            variable = f"BOXPLAT_{section}_{key}".upper()
            if variable in environ:
                tree.setdefault(section, {})[key] = environ[variable]
                origins[f"{section}.{key}"] = variable
    for dotted, value in (flags or {}).items():
        section, _, key = dotted.partition(".")
        if section not in known:
            raise _unknown(path, dotted, known)
        tree.setdefault(section, {})[key] = value
        origins[dotted] = "flag"
    values: dict[str, Any] = {
        section: _build(kind, tree.get(section, {}), path, section) for section, kind in _SECTIONS.items()
    }
    for section, kind in _TABLES.items():
        tables = tree.get(section, {})
        values[section] = {name: _named(kind, tables[name], path, section, name) for name in tables}
    _fit_together(path, values["endpoints"])
    checked(path, values["export"], values["gpus"], values["overlays"])
    return Config(**values, origins=origins)


def _fit_together(path: Path, endpoints: Mapping[str, EndpointConfig]) -> None:
    for name, endpoint in endpoints.items():
        if endpoint.idle and endpoint.grpc_port:
            raise wrong(path, f"endpoints.{name}.idle", "empty where grpc_port is set", endpoint.idle)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BoxError(
            f"cannot read {path}",
            why=str(error),
            fix=f"correct the file: ${{EDITOR:-vi}} {path}",
            code=ExitCode.USAGE,
        ) from error


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows += _leaves(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _fields(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _unknown(path: Path, key: str, known: typing.Iterable[str]) -> BoxError:
    prefix, _, last = key.rpartition(".")
    names = sorted(known)
    return BoxError(
        f"unknown key {key!r} in {path}{nearest(last, names)}",
        why=f"known {'in [' + prefix + ']' if prefix else 'sections'}: {', '.join(names)}",
        fix=f"correct the key in {path}, then: box config --origin",
        code=ExitCode.USAGE,
    )


def _named(kind: type, table: object, path: Path, section: str, name: str) -> Any:
    # A model has whatever name it was registered under, and a flow that of a class.
    if kind not in (GateConfig, StartsConfig) and (not name.replace("-", "").isalnum() or not name[0].isalpha()):
        raise BoxError(
            f"bad name {name!r} in [{section}] of {path}",
            why=f"a name is {_NAME}",
            fix=f"rename it in {path}",
            code=ExitCode.USAGE,
        )
    return _build(kind, table, path, f"{section}.{name}")


def _build(kind: type, table: object, path: Path, prefix: str) -> Any:
    if not isinstance(table, Mapping):
        raise wrong(path, prefix, "a table", table)
    hints = _fields(kind)
    values = {}
    for key, value in table.items():
        if key not in hints:
            raise _unknown(path, f"{prefix}.{key}", hints)
        values[key] = convert(hints[key], value, path, f"{prefix}.{key}")
    return kind(**values)
