"""The flows' datastore over there: their code, which pods fetch from it, and what a run leaves in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.errors import BoxError
from boxplat.export.lift.bundle import Bundle, pod_specs
from boxplat.export.lift.findings import Finding, blocked
from boxplat.export.migrate.bucket import Bucket, file_etag

_FOLDER = "code/"
_ROOT, _ENDPOINT = "METAFLOW_DATASTORE_SYSROOT_S3", "METAFLOW_S3_ENDPOINT_URL"
# What Metaflow keeps with a package: stored as it is, in the first layout of its store.
_ATTRIBUTES = json.dumps({"cas_raw": True, "cas_version": 1})


@dataclass(frozen=True, slots=True)
class Datastore:
    """Metaflow's root in a bucket, read as `boxplat.export.verify` reads one on the disk."""

    bucket: Bucket

    def files(self, prefix: str) -> list[str]:
        """Paths below `prefix`, relative to the root."""
        return [self._path(key) for key in self.bucket.listing(self._key(prefix))]

    def read(self, path: str) -> bytes:
        """The content of a file."""
        return self.bucket.read(self._key(path))

    def _key(self, path: str) -> str:
        return f"{self.bucket.prefix}/{path}".lstrip("/")

    def _path(self, key: str) -> str:
        return key.removeprefix(f"{self.bucket.prefix}/" if self.bucket.prefix else "")


def datastore(bundle: Bundle) -> Datastore | None:
    """Where the workflows of an overlay keep code and results; None where there are none."""
    env = {
        entry["name"]: entry["value"]
        for document in bundle.documents
        if document["kind"] == "WorkflowTemplate"
        for spec in pod_specs(document)
        for container in spec["containers"]
        for entry in container.get("env", [])
        if entry["name"] in (_ROOT, _ENDPOINT) and "value" in entry
    }
    return Datastore(Bucket(env[_ROOT], env.get(_ENDPOINT, ""))) if _ROOT in env else None


def packages(bundle: Bundle) -> list[tuple[str, Path]]:
    """The flows' code in an export: the path below the datastore's root, and the file."""
    found = [path for path in bundle.lock["files"] if path.startswith(_FOLDER)]
    return [(path.removeprefix(_FOLDER), bundle.folder / path) for path in found]


def upload(bundle: Bundle) -> int:
    """Put every package where the manifests say that it is; returns how many were not there.

    Raises:
        BoxError: the object store refuses.
    """
    store, found = datastore(bundle), packages(bundle)
    if store is None or not found:
        return 0
    bucket, sent = store.bucket, 0
    there = bucket.listing(f"{bucket.prefix}/".lstrip("/"))
    for name, path in found:
        key = f"{bucket.prefix}/{name}".lstrip("/")
        if key not in there or there[key].etag != file_etag(path):
            bucket.put(key, path, _ATTRIBUTES)
            sent += 1
    return sent


def reachable(bundle: Bundle) -> Iterator[Finding]:
    """Whether the bucket is there and lets the user in."""
    try:
        store = datastore(bundle) if packages(bundle) else None
        if store is not None:
            store.bucket.check()
    except BoxError as error:
        yield blocked("bucket", f"{error.what}: {error.why}", error.fix)
