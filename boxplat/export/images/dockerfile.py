"""A Dockerfile for each component, and the locks that it installs. Pure: the same image gives the same bytes.

Every image is built in three stages: packages (which change with the lock), code (which changes with the project), and
one that takes both, each from a folder that holds it, since a folder that COPY makes carries the date of the build. A
stage is one step, since each step that touches a file stores it again. Files carry one date and byte code none at all,
so that building twice gives equal layers.
"""

from __future__ import annotations

import json

from boxplat.core.environment import QUIET
from boxplat.core.model import File
from boxplat.export import names
from boxplat.export.images.model import APP, BENTO, PACKAGE, Image
from boxplat.export.model import FLOWS, USER

# 1980 is the first year that a zip file can tell.
EPOCH = 315532800
VARIANTS = ("cpu", "cuda")
LOCK = "requirements.lock"
_TORCH = "torch"

_PACKAGES = """\
# The image of {component} of {project}, written by boxplat: the next export replaces this file.
# Packages come from where the build arguments PIP_… say, or from wheels in a folder wheels/ beside this file.
ARG BASE=python:{python}-slim-bookworm

FROM ${{BASE}} AS packages
ARG VARIANT=cpu
ARG SOURCE_DATE_EPOCH={epoch}
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_CERT
ARG PIP_TRUSTED_HOST
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONHASHSEED=0
COPY requirements.lock {torch_lock}wheels* /context/
RUN python -m venv --without-pip /venv \\
 && pip --python /venv/bin/python install --no-compile --no-deps --find-links /context -r /context/requirements.lock \\
{torch} && find /venv/lib -depth -type d \\( -name tests -o -name __pycache__ \\
    -o -path "*/torch/include" -o -path "*/pyarrow/include" \\) -exec rm -rf {{}} + \\
 && {{ python -m compileall -qq --invalidation-mode unchecked-hash /venv/lib || true; }} \\
 && mkdir /image && mv /venv /image/ \\
 && find /image -exec touch --no-dereference --date=@${{SOURCE_DATE_EPOCH}} {{}} +
"""
_INSTALL_TORCH = """\
 && pip --python /venv/bin/python install --no-compile --find-links /context \\
    -c /context/requirements.lock -r /context/torch-${VARIANT}.lock \\
"""
_CODE = """\

FROM ${{BASE}} AS code
ARG SOURCE_DATE_EPOCH={epoch}
{copies}RUN mkdir -p /image/app /image/etc \\
 && cp /etc/passwd /etc/group /image/etc/ \\
 && echo "box:x:{user}:{user}::/tmp:/usr/sbin/nologin" >> /image/etc/passwd \\
 && echo "box:x:{user}:" >> /image/etc/group \\
 && {{ python -m compileall -qq --invalidation-mode unchecked-hash -s /image -p / /image || true; }} \\
 && chmod -R u=rwX,go=rX /image \\
 && find /image -exec touch --no-dereference --date=@${{SOURCE_DATE_EPOCH}} {{}} +
"""
_FINAL = """\

FROM ${{BASE}}
LABEL boxplat.project={project} boxplat.component={component}
COPY --from=packages /image /
COPY --from=code /image /
{env}
{commands}WORKDIR {root}
USER {user}:{user}
"""


def files(image: Image) -> list[File]:
    """The Dockerfile of an image and its locks, relative to the folder that it is built from."""
    lock = {name: version for name, version in image.lock.items() if name != _TORCH}
    texts = {"Dockerfile": _dockerfile(image), LOCK: "".join(f"{name}=={lock[name]}\n" for name in lock)}
    if _TORCH in image.lock:
        version = image.lock[_TORCH]
        texts |= {"torch-cpu.lock": f"torch=={version}+cpu\n", "torch-cuda.lock": f"torch=={version}\n"}
    return [File(path, text) for path, text in texts.items()]


def _dockerfile(image: Image) -> str:
    torch = _TORCH in image.lock
    common = {"component": image.component, "project": image.project, "python": image.python, "epoch": EPOCH}
    packages = _PACKAGES.format(
        **common, torch_lock="torch-*.lock " if torch else "", torch=_INSTALL_TORCH if torch else ""
    )
    code = _CODE.format(copies=_copies(image), user=USER, epoch=EPOCH)
    final = _FINAL.format(**common, commands=_commands(image), env=_env(image), root=names.ROOT, user=USER)
    return packages + code + final


def _copies(image: Image) -> str:
    lines = []
    if any(place.partition("/")[0] == APP for place in image.sources):
        lines.append(f"COPY {APP} /image{names.ROOT}\n")
    if PACKAGE in image.sources:
        lines.append(f"COPY {PACKAGE} /image/venv/lib/python{image.python}/site-packages/{PACKAGE}\n")
    return "".join(lines)


def _commands(image: Image) -> str:
    """As BentoML runs them: in the Bento's folder. As a list, since one may have several lines."""
    if not image.commands:
        return ""
    lines = [f"RUN {json.dumps(['/bin/sh', '-c', command])}" for command in image.commands]
    return "\n".join([f"WORKDIR {names.ROOT}/{BENTO}", *lines, ""])


def _env(image: Image) -> str:
    """The tools told to keep quiet, a home that can be written to, and the image's Python first on the path."""
    values = {
        **QUIET,
        "HOME": "/tmp",
        "PATH": "/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if image.component == FLOWS:
        values["METAFLOW_SKIP_INSTALL_DEPENDENCIES"] = "1"
    if _TORCH in image.lock:
        # The driver's libraries for computing are not mounted unless an image asks for them.
        values["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    return "ENV " + " \\\n    ".join(f"{key}={value}" for key, value in sorted(values.items()))
