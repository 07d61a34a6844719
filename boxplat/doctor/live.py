"""The check of what is declared for live endpoints: guards and outcomes of an endpoint that is none guard nothing."""

from __future__ import annotations

from boxplat.core.errors import nearest
from boxplat.doctor.probe import Finding, Probe, Site, ok, skip, warn


def guards(site: Site) -> Finding:
    if site.config is None:
        return skip("boxplat.toml is not understood")
    folders = (path.name for path in (site.folder / "bentos").glob("[!._]*/"))
    known = sorted({*site.config.endpoints, *folders})
    declared = {"guards": site.config.guards, "outcomes": site.config.outcomes}
    names = [(part, name) for part, found in declared.items() for name in found]
    lost = [f"[{part}.{name}]{nearest(name, known)}" for part, name in names if name not in known]
    if lost:
        return warn(f"of no endpoint: {', '.join(lost)}", f"${{EDITOR:-vi}} {site.project.config}")
    return ok(f"{len(names)} of endpoints that there are" if names else "none are declared")


PROBES = (Probe("BOX-PRJ-07", "guards and outcomes", guards, needs_project=True),)
