"""The check of the flows that are meant to start by themselves. Files are parsed, never run."""

from __future__ import annotations

from boxplat.doctor.probe import Finding, Probe, Site, fail, ok
from boxplat.runs.schedules import refused


def starts(site: Site) -> Finding:
    refusals = refused(site.project)
    if refusals:
        return fail("; ".join(f"{error.what}: {error.why}" for error in refusals), "box schedule list")
    return ok("every flow with @schedule or @trigger can start by itself")


PROBES = (Probe("BOX-PRJ-06", "schedules", starts, needs_project=True),)
