"""The check of the flows that are meant to start by themselves. Files are parsed, never run."""

from __future__ import annotations

from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, skip
from boxplat.runs.schedules import refused


def starts(site: Site) -> Finding:
    if site.config is None:
        return skip("boxplat.toml is not understood")
    refusals = refused(site.project, site.config)
    if refusals:
        return fail("; ".join(f"{error.what}: {error.why}" for error in refusals), "box schedule list")
    return ok("every flow with @schedule or @trigger can start by itself")


PROBES = (Probe("BOX-PRJ-06", "schedules", starts, needs_project=True),)
