"""Checks of what steps ask for against what their last runs used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from boxplat.adapters import flows
from boxplat.core.errors import BoxError
from boxplat.core.state import StateStore
from boxplat.core.state.database import Database
from boxplat.doctor.probe import Finding, Probe, Site, ok, skip, warn
from boxplat.runs.profiles import expected_all
from boxplat.runs.profiles.attempt import asked
from boxplat.runs.profiles.recommend import Recommendation, recommended

# Named in one finding.
_MOST = 6


def requests(site: Site) -> Finding:
    database = site.project.database
    if not database.exists() or database.stat().st_size == 0:
        return skip("nothing has run yet")
    try:
        # Not `StateStore.open`: that makes folders and mends modes, which other checks are to find as they are.
        state = StateStore(Database(database), site.project)
        found = list(_recommendations(state, site.project.root))
        state.close()
    except BoxError as error:
        return skip(f"what runs used cannot be read: {error.what}")
    if not found:
        return skip("no run has been measured yet")
    return judge(found)


def judge(found: list[tuple[str, Recommendation]]) -> Finding:
    """What is to be said of flows' steps: the file of each, and what it should ask for."""
    wrong = [(file, step) for file, step in found if step.verdict in ("over", "under")]
    if not wrong:
        return ok(f"{len(found)} steps ask for what their last runs used, or leave it to boxplat")
    words = {"over": "asks for too much", "under": "asks for too little"}
    details = [f"{file}, step {step.step} {words[step.verdict]} ({step.why})" for file, step in wrong[:_MOST]]
    more = [f"and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
    first = wrong[0][0]
    lines = ", ".join(f"{step.step}: {step.line}" for file, step in wrong if file == first)
    return warn("; ".join([*details, *more]), f"${{EDITOR:-vi}} {first}   (step {lines})")


def _recommendations(state: StateStore, root: Path) -> Iterator[tuple[str, Recommendation]]:
    """Of each step that still is in its flow's file, which may have been corrected since it ran."""
    for name, file in state.profiles.flows():
        try:
            declared = flows.read(root / file)
        except BoxError:
            continue
        for step, usual in expected_all(state, name).items():
            if declared.name == name and step in declared.steps:
                written = asked(declared.asked.get(step))
                yield file, recommended(replace(usual, asked={**usual.asked, **written}))


PROBES = (Probe("BOX-PRJ-05", "requests of steps", requests, needs_project=True),)
