"""What the gateway is asked to do, without a word of Envoy's in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """One process of a release, on loopback. `grpc_port` is None where it speaks no gRPC."""

    port: int
    grpc_port: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A bearer token as the gateway knows it: the SHA-256 of it (hexadecimal), its name, and whether it may operate."""

    name: str
    digest: str
    operate: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: where it listens, which releases get its requests, and what it allows.

    Args:
        port: of its HTTP listener on loopback; `grpc_port` of the gRPC one, None where it has none.
        parts: (release, percent) in the order of the hash space, 100 in all; a release may have several parts, so that
            a change of weights moves no more keys than it must (see `spread`).
        targets: processes by release; also those of releases without requests, which may still have some in flight.
        shadow: the release that gets a copy of every request; its answers go nowhere.
        sticky: header whose value decides the release; requests without it are spread at random.
        timeout: seconds without a byte in either direction after which a request is given up.
        retries: how often a request is tried again on another process, at most.
        repeatable: every method may be tried again after a process broke off, not only the idempotent ones.
        requests_per_second: beyond it requests get 429; 0: no limit.
        body_mib: a larger body gets 413; 0: any size.
        in_flight: requests that a release works on at once; beyond it, and the few that wait, they get 503.
    """

    endpoint: str
    port: int
    parts: tuple[tuple[int, int], ...]
    targets: Mapping[int, tuple[Target, ...]]
    grpc_port: int | None = None
    shadow: int | None = None
    sticky: str = ""
    timeout: float = 120.0
    retries: int = 2
    repeatable: bool = False
    requests_per_second: float = 0.0
    body_mib: int = 100
    in_flight: int = 1024

    @property
    def weights(self) -> dict[int, int]:
        """Percent by release."""
        found: dict[int, int] = {}
        for release, percent in self.parts:
            found[release] = found.get(release, 0) + percent
        return found


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans go, from the usual `OTEL_*` variables.

    Args:
        path: of the HTTP exporter (`/v1/traces`); None: gRPC.
        tls_ca: file of the authorities to trust; None: no TLS.
        percent: of the requests whose callers did not decide it that are traced.
    """

    host: str
    port: int
    service_name: str
    path: str | None = None
    tls_ca: str | None = None
    percent: float = 100.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the gateway as a whole.

    Args:
        port: of its own listener: readiness and statistics.
        access_log: the file, relative to the gateway's folder; empty: none.
        keys: without any, everybody on this machine may ask.
    """

    port: int
    access_log: str = ""
    keys: tuple[Key, ...] = ()
    tracing: Tracing | None = None
