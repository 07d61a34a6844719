"""Checks of the Python stack, from metadata alone: nothing that is checked is imported."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, warn

HEAVY = ("bentoml", "feast", "metaflow", "mlflow", "numpy", "pandas", "sqlalchemy", "textual", "torch")
TELEMETRY = ("DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")


def version(_: Site) -> Finding:
    return judge_version(sys.version_info[:3])


def judge_version(found: tuple[int, ...]) -> Finding:
    """Judge (major, minor, micro) of the interpreter."""
    text = f"Python {'.'.join(map(str, found))} at {sys.executable}"
    if found[:2] < (3, 11):
        return fail(f"{text}: 3.11 or newer is needed", "python3.11 -m venv .venv   (and install again)")
    if found[:2] > (3, 11):
        return warn(f"{text}: the pinned versions were proven together on 3.11", "python3.11 -m venv .venv")
    return ok(text)


def direct(site: Site) -> Finding:
    """Every package that boxplat itself asks for."""
    try:
        wanted = requirements(site.distribution)
    except metadata.PackageNotFoundError:
        return fail(f"{site.distribution} is not installed, only found on the path", "python -m pip install -e .")
    pins = read_pins(site.constraints)
    missing = [name for name in wanted if installed(name) is None]
    differ = differing({name: pins[name] for name in wanted if name in pins})
    if missing or differ:
        said = [f"not installed: {', '.join(missing)}"] if missing else []
        return fail("; ".join([*said, *differ]), _install(site))
    return ok(f"{len(wanted)} packages in the pinned versions")


def indirect(site: Site) -> Finding:
    """Every other pinned package that is installed; those that nothing here needs are of no interest."""
    pins = read_pins(site.constraints)
    differ = differing({name: pin for name, pin in pins.items() if installed(name) is not None})
    if differ:
        more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
        return warn("; ".join(differ[:5]) + more, _install(site))
    return ok(f"{len(pins)} pins, no installed package differs")


def read_pins(file: Path) -> dict[str, str]:
    """Name → version from lines `name==version`; names in their normal form."""
    pins = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, equal, pin = line.partition("#")[0].partition("==")
        if equal:
            pins[normal(name)] = pin.partition(";")[0].strip()
    return pins


def normal(name: str) -> str:
    """The normal form of a package name (PyPA specification, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def requirements(distribution: str) -> list[str]:
    """The names that a distribution always needs, without its extras."""
    lines = metadata.requires(distribution) or []
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in lines if "extra ==" not in line]
    return sorted({normal(match.group()) for match in names if match})


def installed(name: str) -> str | None:
    """The version, without the local part that names a build (`+cpu`)."""
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def differing(pins: Mapping[str, str]) -> list[str]:
    found = {name: installed(name) for name in pins}
    return [
        f"{name} is {found[name]}, not {pin}" for name, pin in sorted(pins.items()) if found[name] not in (None, pin)
    ]


def _install(site: Site) -> str:
    return f"{sys.executable} -m pip install -c {site.constraints} {site.distribution}"


def byte_code(_: Site) -> Finding:
    cold = [name for name in HEAVY if not compiled(_modules(name))]
    if cold:
        return warn(
            f"not compiled, so that every process compiles them again: {', '.join(cold)}",
            f"{sys.executable} -m compileall -q -j 0 {sysconfig.get_path('purelib')}",
        )
    return ok(f"compiled: {', '.join(HEAVY)}")


def _modules(package: str) -> list[Path]:
    """The source files at the top of a package, found without importing it; none if it is not installed."""
    spec = importlib.util.find_spec(package)
    origin = Path(spec.origin) if spec and spec.origin else None
    return sorted(origin.parent.glob("*.py")) if origin else []


def compiled(sources: Iterable[Path]) -> bool:
    """Whether each source has byte code that this interpreter would accept."""
    return all(_fresh(source, Path(importlib.util.cache_from_source(str(source)))) for source in sources)


def _fresh(source: Path, cache: Path) -> bool:
    """The header of byte code is magic number, flags, source time and size, 4 bytes each (PEP 552)."""
    try:
        with cache.open("rb") as file:
            head = file.read(16)
        stat = source.stat()
    except OSError:
        return False
    if head[:4] != importlib.util.MAGIC_NUMBER:
        return False
    by_hash = int.from_bytes(head[4:8], "little") != 0
    times = (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    return by_hash or (int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")) == times


def caching(site: Site) -> Finding:
    if site.environ.get("PYTHONDONTWRITEBYTECODE"):
        return warn(
            "PYTHONDONTWRITEBYTECODE is set: flows started by hand compile their imports every time (box drops it)",
            "unset PYTHONDONTWRITEBYTECODE",
        )
    return ok("byte code is kept")


def telemetry(site: Site) -> Finding:
    """A switch with a word that its tool does not understand is worse than none: it looks as if it worked."""
    wrong = [name for name in TELEMETRY if name in site.environ and site.environ[name].lower() != "true"]
    if wrong:
        said = ", ".join(f"{name}={site.environ[name]}" for name in wrong)
        return warn(
            f"{said}: MLflow and BentoML understand only the word true (box sets it for what it starts)",
            "export " + " ".join(f"{name}=true" for name in wrong),
        )
    return ok("off in everything that box starts")


def interpreter_on_path(site: Site) -> Finding:
    """Metaflow's @parallel and shell scripts start the `python` of PATH, whichever that is."""
    found = shutil.which("python", path=site.environ.get("PATH"))
    here = Path(sys.executable).parent
    if found and os.path.dirname(os.path.abspath(found)) == str(here):
        return ok(found)
    return warn(
        f"`python` on PATH is {found or 'missing'}: flows started by hand use it (box run does not)",
        f"source {here}/activate" if (here / "activate").exists() else f'export PATH="{here}:$PATH"',
    )


PROBES = (
    Probe("BOX-PY-01", "Python version", version),
    Probe("BOX-PY-02", "packages that boxplat needs", direct),
    Probe("BOX-PY-03", "other pinned packages", indirect),
    Probe("BOX-PY-04", "compiled byte code", byte_code),
    Probe("BOX-PY-05", "byte code is kept", caching),
    Probe("BOX-PY-06", "telemetry switches", telemetry),
    Probe("BOX-PY-07", "python on PATH", interpreter_on_path),
)
