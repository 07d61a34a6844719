"""Code packages whose bytes depend on nothing but their content, and that leave this extension out."""

import json
import tarfile
from io import BytesIO
from typing import Any

from metaflow.packaging_sys.tar_backend import TarPackagingBackend

_OWN = ".mf_code/metaflow_extensions/boxplat_offline/"
_INFO = ".mf_meta/INFO"


def install() -> None:
    """Make Metaflow's archive writer sort its members and forget who made them on which machine."""
    backend: Any = TarPackagingBackend
    backend.add_file, backend.add_data, backend.close = _add_file, _add_data, _close


def _members(archive: Any) -> dict[str, bytes]:
    members: dict[str, bytes] = archive.__dict__.setdefault("_members", {})
    return members


def _add_file(self: Any, filename: str, arcname: str | None = None) -> None:
    name = arcname or filename
    if not name.startswith(_OWN):
        with open(filename, "rb") as source:
            _members(self).setdefault(name, source.read())


def _add_data(self: Any, data: BytesIO, arcname: str) -> None:
    content = data.getvalue()
    _members(self)[arcname] = _without_extension(content) if arcname == _INFO else content


def _close(self: Any) -> None:
    for name, content in sorted(_members(self).items()):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        info.mtime = 1575360000
        self._archive.addfile(info, BytesIO(content))
    self._archive.close()


def _without_extension(content: bytes) -> bytes:
    """The INFO file lists the extensions to load in the pod, where this one does not exist."""
    info = json.loads(content)
    packages, points = info["ext_info"]
    for distribution in [name for name, package in packages.items() if _is_own(package)]:
        del packages[distribution]
        for point in points:
            points[point] = [entry for entry in points[point] if entry[0] != distribution]
    for package in packages.values():
        # They come in the order of the folder.
        package["files"].sort()
    return json.dumps(info, sort_keys=True).encode()


def _is_own(package: dict[str, Any]) -> bool:
    return any("boxplat_offline" in str(path) for path in package["files"])
