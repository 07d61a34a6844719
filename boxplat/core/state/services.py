"""Services: what is declared and wanted, and how each is now."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from boxplat.core.errors import not_found
from boxplat.core.model import Service, ServiceStatus, State
from boxplat.core.paths import Paths
from boxplat.core.state.database import Database, Transaction

_LIVE = frozenset({"pid", "pid_started", "running_digest", "port", "grpc_port", "restarts", "healthy_seconds"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the supervisor reads: a declaration, whether it is wanted, and the process that was last recorded for it.

    `digest` is the declaration's. `generation` grows when somebody asks for a restart. `pid_started` tells a reused pid
    from ours.
    """

    service: Service
    digest: str
    desired: bool
    generation: int
    state: State
    pid: int | None
    pid_started: float | None
    running_digest: str | None
    port: int | None
    restarts: int
    grpc_port: int | None = None


class Services:
    """Declarations with their desired and live state."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self._database = database
        self._paths = paths

    def declare(self, service: Service, desired: bool, by: str) -> None:
        """Make or replace a declaration; the supervisor replaces a running process whose declaration changed."""
        spec = json.dumps(service.as_dict(), sort_keys=True)
        with self._database.write() as tx:
            row = tx.execute("select spec, desired from service where name = ?", (service.name,)).fetchone()
            if row and row["spec"] == spec and bool(row["desired"]) == desired:
                return
            tx.execute(
                "insert into service (name, kind, spec, desired, since) values (?, ?, ?, ?, ?) "
                "on conflict (name) do update "
                "set kind = excluded.kind, spec = excluded.spec, desired = excluded.desired",
                (service.name, service.kind, spec, desired, time.time()),
            )
            tx.event(service.name, "service.declared", {"by": by, "desired": desired, "digest": service.digest()})

    def add(self, service: Service, by: str) -> None:
        """Make a declaration that is wanted, unless there is one of that name: whoever made it first was right."""
        spec = json.dumps(service.as_dict(), sort_keys=True)
        with self._database.write() as tx:
            done = tx.execute(
                "insert or ignore into service (name, kind, spec, desired, since) values (?, ?, ?, 1, ?)",
                (service.name, service.kind, spec, time.time()),
            )
            if done.rowcount:
                tx.event(service.name, "service.declared", {"by": by, "desired": True, "digest": service.digest()})

    def remove(self, name: str, by: str) -> None:
        """Forget a declaration (its process must be stopped already)."""
        with self._database.write() as tx:
            tx.execute("delete from service where name = ?", (name,))
            tx.event(name, "service.removed", {"by": by})

    def set_desired(self, name: str, up: bool, by: str) -> None:
        """Ask for a service to run or to stop; asking a failed one to run tries it afresh."""
        with self._database.write() as tx:
            self._known(tx, name)
            tx.execute(
                "update service set desired = ?, generation = generation + (state = 'failed' and ?) where name = ?",
                (up, up, name),
            )
            tx.event(name, "service.wanted", {"by": by, "up": up})

    def let_go(self, name: str, kept: Callable[[], Container[str]], by: str) -> bool:
        """Ask for the end of a service, or forget one that has ended; not if it is kept. Returns whether it did.

        Args:
            kept: asked within the transaction, so that nobody can begin to rely on the service meanwhile.
        """
        with self._database.write() as tx:
            row = tx.execute("select desired from service where name = ?", (name,)).fetchone()
            if row is None or name in kept():
                return False
            if row["desired"]:
                tx.execute("update service set desired = 0 where name = ?", (name,))
                tx.event(name, "service.wanted", {"by": by, "up": False})
            else:
                tx.execute("delete from service where name = ?", (name,))
                tx.event(name, "service.removed", {"by": by})
            return True

    def restart(self, name: str, by: str) -> None:
        """Ask for a new process."""
        with self._database.write() as tx:
            self._known(tx, name)
            tx.execute("update service set desired = 1, generation = generation + 1 where name = ?", (name,))
            tx.event(name, "service.restart_wanted", {"by": by})

    def moved(self, name: str, state: State, reason: str = "", event: str | None = None, **live: Any) -> None:
        """Record what became of a process, and the event that says so.

        Args:
            live: any of pid, pid_started, running_digest, port, grpc_port, restarts, healthy_seconds.
        """
        unknown = live.keys() - _LIVE
        if unknown:
            raise ValueError(f"no such live field: {sorted(unknown)}")
        sets = "".join(f", {key} = :{key}" for key in live)
        values = {"name": name, "state": state.value, "reason": reason, "now": time.time(), **live}
        with self._database.write() as tx:
            tx.execute(
                "update service set since = case when state = :state then since else :now end, "
                f"state = :state, reason = :reason{sets} where name = :name",
                values,
            )
            if event:
                tx.event(name, event, {"reason": reason, **live})

    def wanted(self) -> list[Wanted]:
        """Every declaration, by name."""
        with self._database.read() as db:
            return [_wanted(row) for row in db.execute("select * from service order by name").fetchall()]

    def specs(self) -> list[Service]:
        return [wanted.service for wanted in self.wanted()]

    def spec(self, name: str) -> Service:
        """One declaration.

        Raises:
            BoxError: there is no such service (exit code 9).
        """
        specs = {service.name: service for service in self.specs()}
        if name not in specs:
            raise not_found("service", name, specs, "box status")
        return specs[name]

    def all(self) -> list[ServiceStatus]:
        """Every service as it is now, by name."""
        with self._database.read() as db:
            return [self._status(row) for row in db.execute("select * from service order by name").fetchall()]

    def _status(self, row: sqlite3.Row) -> ServiceStatus:
        port, now = row["port"], State(row["state"])
        return ServiceStatus(
            name=row["name"],
            kind=row["kind"],
            desired=bool(row["desired"]),
            state=now,
            pid=row["pid"],
            port=port,
            url=f"http://127.0.0.1:{port}" if port and now is not State.STOPPED else None,
            restarts=row["restarts"],
            since=row["since"],
            reason=row["reason"],
            log=str(self._paths.service_log(row["name"])),
            healthy_seconds=row["healthy_seconds"],
            grpc_port=row["grpc_port"] if now is not State.STOPPED else None,
        )

    def _known(self, tx: Transaction, name: str) -> None:
        names = [row["name"] for row in tx.execute("select name from service").fetchall()]
        if name not in names:
            raise not_found("service", name, names, "box status")


def _wanted(row: sqlite3.Row) -> Wanted:
    service = Service.from_dict(json.loads(row["spec"]))
    return Wanted(
        service=service,
        digest=service.digest(),
        desired=bool(row["desired"]),
        generation=row["generation"],
        state=State(row["state"]),
        pid=row["pid"],
        pid_started=row["pid_started"],
        running_digest=row["running_digest"],
        port=row["port"],
        restarts=row["restarts"],
        grpc_port=row["grpc_port"],
    )
