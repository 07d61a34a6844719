"""Checks of the GPU: driver, devices, and whether the installed torch fits them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from boxplat.adapters import gpu
from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, skip, warn

PCI = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"


def driver(_: Site) -> Finding:
    found = gpu.driver()
    if isinstance(found, gpu.Driver):
        return ok(f"driver {found.version}, runs CUDA up to {found.cuda[0]}.{found.cuda[1]}")
    if cards(PCI):
        return warn(f"an NVIDIA card is in this machine, but {found}", "nvidia-smi   (and install or load the driver)")
    return skip(found)


def cards(folder: Path) -> list[str]:
    """PCI addresses of NVIDIA display and compute cards (class 03xx), with or without a driver."""
    found = []
    for device in sorted(folder.glob("*")):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == NVIDIA and kind.startswith("0x03"):
            found.append(device.name)
    return found


def readings(_: Site) -> Finding:
    if not isinstance(gpu.driver(), gpu.Driver):
        return skip("no NVIDIA driver")
    devices, note = gpu.read()
    names = ", ".join(f"{device.index}: {device.name}, {device.memory_total / 1024**3:.0f} GiB" for device in devices)
    if note:
        return fail(f"{note}; readable: {names or 'none'}", "nvidia-smi   (a lost device needs a reset or a reboot)")
    return ok(names)


def torch_build(_: Site) -> Finding:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return skip("torch is not installed")
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    return judge_torch(torch_cuda(text), gpu.driver())


def torch_cuda(text: str) -> tuple[int, int] | None:
    """The CUDA version that torch was built for, read from its `version.py`; None for a CPU build."""
    match = re.search(r"^cuda\b[^=]*=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE)
    return (int(match[1]), int(match[2])) if match else None


def judge_torch(cuda: tuple[int, int] | None, found: gpu.Driver | str) -> Finding:
    """A driver runs every CUDA of its own major version and older ones (CUDA compatibility guide, minor versions)."""
    build = f"torch for CUDA {cuda[0]}.{cuda[1]}" if cuda else "torch for the CPU"
    if isinstance(found, str):
        return ok(f"{build}; no GPU is used")
    limit = f"{found.cuda[0]}.{found.cuda[1]}"
    if cuda is None:
        return warn(f"{build}, but a GPU with CUDA {limit} is here", "python -m pip install --force-reinstall torch")
    if cuda[0] > found.cuda[0]:
        return fail(f"{build}, the driver runs CUDA up to {limit}", "install a newer NVIDIA driver, or an older torch")
    if cuda > found.cuda:
        return warn(f"{build}, the driver is made for {limit}: newest features may miss", "install a newer driver")
    return ok(f"{build}, the driver runs up to {limit}")


PROBES = (
    Probe("BOX-GPU-01", "NVIDIA driver", driver),
    Probe("BOX-GPU-02", "devices answer", readings),
    Probe("BOX-GPU-03", "torch fits the driver", torch_build),
)
