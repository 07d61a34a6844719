"""A process with a file system of its own, as in a container: Linux namespaces, without root and without Docker."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import boxplat
from boxplat.core.errors import BoxError, ExitCode

USER = 1000
# What every pod has of its own, though no manifest says so.
_OWN = ("tmp", "mnt", "var", "run")
_LIVE = ("dev", "proc", "sys")
_NAMESPACES = (("unshare", "--user", "--map-root-user", "--mount"), ("unshare", "--mount"))


@dataclass(frozen=True, slots=True)
class View:
    """What a process sees instead of the machine's own files.

    `mounts` are folders by the absolute path at which they are seen, `fixed` folders and files that cannot be changed
    there, `hidden` are folders that are seen as empty.
    """

    mounts: Mapping[str, Path]
    fixed: Mapping[str, Path] = field(default_factory=dict)
    hidden: Sequence[Path] = ()
    kept: Sequence[Path] = field(default_factory=lambda: python_folders())


def python_folders() -> list[Path]:
    """Where this Python and its packages are, boxplat among them."""
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(boxplat.__file__).resolve().parents[1]]
    return [path for path in dict.fromkeys(found) if path != Path("/usr")]


def command(root: Path, view: View, argv: Sequence[str], folder: str) -> list[str]:
    """The command that runs `argv` in `folder` of such a file system, as user 1000 where the system allows it.

    Args:
        root: an empty folder, which will be the root of the file system; outside it stays empty.

    Raises:
        BoxError: this system gives no namespaces to this user (exit code 4).
    """
    lines = ["set -eu", f"R={shlex.quote(str(root))}", 'mount -t tmpfs tmpfs "$R"', *_tree(view)]
    lines += [
        "mkdir $R/.old",
        "mount --make-rprivate /",
        "pivot_root $R $R/.old",
        "umount -l /.old",
        "rmdir /.old",
        "mount -o remount,ro / || :",
        f"cd {shlex.quote(folder)}",
    ]
    words = shlex.join(argv)
    user = f"unshare --user --map-user={USER} --map-group={USER}"
    lines.append(f"if {user} true 2>/dev/null; then exec {user} {words}; else exec {words}; fi")
    return [*_namespaces(), "sh", "-c", "\n".join(lines)]


def _tree(view: View) -> list[str]:
    """Shell lines that put the new root together: the machine's top folders but for those that pods have themselves."""
    tops = {PurePosixPath(path).parts[1] for path in (*view.mounts, *view.fixed) if not Path(path).exists()}
    own = {*_OWN, *tops}
    lines = _machine(own)
    lines += [f"mkdir -p $R/{name}" for name in sorted(own)]
    lines.append("chmod 1777 $R/tmp")
    for path in view.hidden:
        if path.parts[1] not in own:
            lines.append(f"mount -t tmpfs tmpfs $R{shlex.quote(str(path))}")
    for target, source in sorted({**view.mounts, **view.fixed}.items()):
        lines += _bound(target, source)
        if target in view.fixed:
            lines.append(f"mount -o remount,bind,ro $R{shlex.quote(target)}")
    # Last, because Python may be below a folder that a pod has for itself, such as /tmp.
    for path in view.kept:
        if path.parts[1] in own:
            lines += _bound(str(path), path)
    return lines


def _machine(own: set[str]) -> list[str]:
    """The machine's top folders where it has them, but for those of the pods' own."""
    lines = []
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.is_symlink():
            lines.append(f"ln -s {shlex.quote(os.readlink(entry.path))} $R/{entry.name}")
        elif entry.is_dir() and entry.name not in own:
            lines += _bound(entry.path, Path(entry.path))
            if entry.name not in _LIVE:
                # As for a pod's user, who owns nothing of the image. Mounts below it stay as they are.
                lines.append(f"mount -o remount,bind,ro $R/{entry.name} 2>/dev/null || :")
    return lines


def _bound(target: str, source: Path) -> list[str]:
    there, here = f"$R{shlex.quote(target)}", shlex.quote(str(source))
    made = f"mkdir -p {there}"
    if source.is_file():
        made = f"mkdir -p $R{shlex.quote(str(PurePosixPath(target).parent))}; [ -e {there} ] || : > {there}"
    return [made, f"mount --rbind {here} {there}"]


@functools.cache
def _namespaces() -> tuple[str, ...]:
    """The command that gives a process a mount table of its own."""
    said = "the program unshare (util-linux) is not installed"
    for words in _NAMESPACES if shutil.which("unshare") else ():
        tried = subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True)
        if tried.returncode == 0:
            return words
        said = tried.stderr.strip()
    raise BoxError(
        "this system cannot give a process a file system of its own",
        why=f"steps need paths of their own, such as /mnt/out, and must not see the box: {said}",
        fix="allow user namespaces: sysctl -w user.max_user_namespaces=15000",
        code=ExitCode.PRECONDITION,
    )
