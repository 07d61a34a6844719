"""Files of an export that are no manifests: Dockerfiles, locks, Terraform, instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from boxplat.export.check.folder import Folder
from boxplat.export.check.model import Fault
from boxplat.export.check.plain import SECRETS

ABOUT = {
    "file-secret": "No file has the form of a key, a token or an address with a password in it",
    "file-machine-path": "No file has a path of the machine that the export was made on",
}


def faults(folder: Folder, places: Sequence[str]) -> Iterator[Fault]:
    """Secrets and this machine's paths in texts; packages, which are archives, are left out.

    Args:
        places: folders of this machine.
    """
    for path, content in folder.files.items():
        if path.startswith("code/"):
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if SECRETS.search(line):
                yield Fault("file-secret", path, "", f"line {number} looks like a key, a token or a password")
            for place in places:
                if place in line:
                    yield Fault("file-machine-path", path, "", f"line {number} has {place}")
