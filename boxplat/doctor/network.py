"""Checks of the loopback network: nothing else is used."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import psutil

from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.replicas import GATEWAY
from boxplat.core.state import StateStore
from boxplat.core.state.database import Database
from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, skip, warn
from boxplat.releases.gateway import applied
from boxplat.supervisor.lock import holder

HOST = "127.0.0.1"


def loopback(_: Site) -> Finding:
    try:
        with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname(), timeout=2):
            return ok(f"{HOST} works")
    except OSError as error:
        return fail(f"{HOST} cannot be used: {error}", "sudo ip link set lo up")


def ports(site: Site) -> Finding:
    if site.config is None:
        return skip("boxplat.toml cannot be read")
    wanted = preferred(site.config)
    mine = our_ports(site)
    taken = [f"{port} ({name})" for name, port in wanted.items() if port not in mine and not is_free(port)]
    if taken:
        return warn(
            f"taken by another program: {', '.join(taken)}; the next free port is used instead",
            f"ss -ltnp | grep -E ':({'|'.join(entry.split()[0] for entry in taken)}) '",
        )
    return ok(", ".join(f"{port} ({name})" for name, port in wanted.items()) + ": free, or ours")


def preferred(config: Config) -> dict[str, int]:
    """The ports that the settings ask for, by service; 0 asks for any."""
    named = {"tracking": config.tracking.port}
    if config.endpoints:
        named["gateway"] = config.gateway.port
    named |= {name: endpoint.port for name, endpoint in config.endpoints.items()}
    named |= {f"{name}, gRPC": endpoint.grpc_port for name, endpoint in config.endpoints.items()}
    named |= {name: service.port for name, service in config.services.items()}
    return {name: port for name, port in named.items() if port}


def our_ports(site: Site) -> set[int]:
    """Ports that this box holds, as far as its state can be read: all recorded ones while a supervisor runs (it keeps
    their sockets open between two processes), else those of processes that a killed one left."""
    database = site.project.database
    if not database.exists() or database.stat().st_size == 0:
        return set()
    try:
        # Not `StateStore.open`: that makes folders and mends modes, which other checks are to find as they are.
        state = StateStore(Database(database), site.project)
        statuses, doors = state.services.all(), applied(state).endpoints.values()
        state.close()
    except BoxError:
        return set()
    held = holder(site.project) is not None
    ours = [row for row in statuses if row.port and (held or (row.pid and psutil.pid_exists(row.pid)))]
    found = {row.port for row in ours if row.port}
    if any(row.name == GATEWAY for row in ours):
        addresses = [address for door in doors for address in (door.url, door.grpc) if address]
        found |= {int(address.rpartition(":")[2]) for address in addresses}
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the supervisor binds: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def proxy(site: Site) -> Finding:
    """Most HTTP clients send even loopback requests to a proxy unless NO_PROXY names the address."""
    lower = {key.lower(): value for key, value in site.environ.items() if value}
    if not {"http_proxy", "all_proxy"} & lower.keys():
        return ok("no proxy in the way")
    if goes_around(lower.get("no_proxy", "")):
        return ok(f"a proxy is set, {HOST} goes around it")
    return warn(f"a proxy is set and would get the requests to {HOST}", f"export NO_PROXY={HOST},localhost")


def goes_around(no_proxy: str) -> bool:
    """Whether a NO_PROXY list covers the loopback address, by itself, by `*` or by a network."""
    for entry in (part.strip() for part in no_proxy.split(",")):
        if entry == "*":
            return True
        try:
            if ip_address(HOST) in ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


PROBES = (
    Probe("BOX-NET-01", "loopback", loopback),
    Probe("BOX-NET-02", "preferred ports", ports, needs_project=True),
    Probe("BOX-NET-03", "proxy", proxy),
)
