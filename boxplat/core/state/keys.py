"""Keys of the gateway: names, scopes and hashes; never the keys themselves."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from boxplat.core.errors import BoxError, not_found
from boxplat.core.model import AccessKey
from boxplat.core.state.database import Database
from boxplat.core.state.record import append


class Keys:
    """Keys by name; a revoked one stays on record and its name is free again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, scopes: Sequence[str], digest: str, by: str) -> AccessKey:
        """Note a new key.

        Args:
            digest: SHA-256 of it, hexadecimal.

        Raises:
            BoxError: the name is in use (exit code 1).
        """
        now, text = time.time(), " ".join(sorted(scopes))
        with self._database.write() as tx:
            if tx.execute("select 1 from access_key where name = ? and revoked is null", (name,)).fetchone():
                raise BoxError(
                    f"there is a key {name!r} already",
                    why="two keys of one name could not be told apart",
                    fix=f"choose another name, or: box keys revoke {name}",
                )
            values = (name, text, digest, now, by)
            tx.execute("insert into access_key (name, scopes, digest, made, made_by) values (?, ?, ?, ?, ?)", values)
            tx.event("gateway", "key.made", {"name": name, "scopes": text, "by": by})
            append(tx, "gateway", "key.made", by, {"name": name, "scopes": text.split()})
        return AccessKey(name, tuple(text.split()), now, by)

    def revoke(self, name: str, by: str) -> None:
        """End a key.

        Raises:
            BoxError: there is none of that name (exit code 9).
        """
        with self._database.write() as tx:
            rows = tx.execute("select name, scopes from access_key where revoked is null").fetchall()
            known = {row["name"]: row["scopes"] for row in rows}
            if name not in known:
                raise not_found("key", name, known, "box keys list")
            values = (time.time(), by, name)
            tx.execute("update access_key set revoked = ?, revoked_by = ? where name = ? and revoked is null", values)
            tx.event("gateway", "key.revoked", {"name": name, "by": by})
            append(tx, "gateway", "key.revoked", by, {"name": name, "scopes": known[name].split()})

    def all(self, revoked: bool = False) -> list[AccessKey]:
        """Every key in use, by name; with `revoked` also those of before, oldest first."""
        where = "" if revoked else "where revoked is null"
        with self._database.read() as db:
            rows = db.execute(f"select * from access_key {where} order by name, made").fetchall()
            return [_key(row) for row in rows]

    def digests(self) -> dict[str, str]:
        """SHA-256 (hexadecimal) of each key in use, by name."""
        with self._database.read() as db:
            rows = db.execute("select name, digest from access_key where revoked is null").fetchall()
            return {row["name"]: row["digest"] for row in rows}


def _key(row: sqlite3.Row) -> AccessKey:
    scopes = tuple(row["scopes"].split())
    return AccessKey(row["name"], scopes, row["made"], row["made_by"], row["revoked"])
