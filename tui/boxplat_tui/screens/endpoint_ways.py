"""What can be done with an endpoint and what exactly that would do, as commands. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from boxplat.core.model import Endpoint, Release
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.screens.rows import model_of

if TYPE_CHECKING:
    from boxplat.releases.traffic import Return

_MOST = 8


def named(endpoint: Endpoint, number: int) -> str:
    """`release 8 (delay v4, now 10 %)`."""
    release = next((one for one in endpoint.releases if one.number == number), None)
    known = [model_of(release)] if release and release.model else []
    return f"release {number} ({', '.join([*known, f'now {endpoint.traffic.get(number, 0)} %'])})"


def promote(endpoint: Endpoint, number: int) -> Command:
    """All requests to one release."""
    effect = f"All requests of {endpoint.name} go to {named(endpoint, number)}.{_loses(endpoint, {number})}"
    return commands.split(endpoint.name, {number: 100}, effect=f"{effect} To undo it: box rollback {endpoint.name}")


def rollback(endpoint: Endpoint, back: Return) -> Command:
    """To what was live before."""
    kept = back.weights
    goes = ", ".join(f"{percent} % to {named(endpoint, number)}" for number, percent in kept.items())
    if len(kept) == 1:
        goes = f"all to {named(endpoint, next(iter(kept)))}"
    what = f"The requests of {endpoint.name} return to what was live before: {goes}.{_loses(endpoint, {*kept})}"
    alias = back.alias
    moves = (
        f" The alias {alias['alias']} of model {alias['model']} goes to version {alias['version']}." if alias else ""
    )
    return commands.rollback(endpoint.name, what + moves)


def undeploy(endpoint: Endpoint) -> Command:
    """It answers no more."""
    used = {number for number, percent in endpoint.traffic.items() if percent} | {endpoint.shadow}
    names = [f"release {number}" for number in sorted(used - {None}, key=str)]
    stop = f", and {' and '.join(names)} {'stops' if len(names) == 1 else 'stop'}" if names else ""
    effect = (
        f"Endpoint {endpoint.name} goes down: {endpoint.url or 'its URL'} stops answering{stop}. "
        f"Its releases are kept; one of them comes back with box split {endpoint.name} RELEASE=100"
    )
    return commands.undeploy(endpoint.name, effect)


def _loses(endpoint: Endpoint, keep: set[int]) -> str:
    """What gets nothing any more."""
    gone = [number for number, percent in endpoint.traffic.items() if percent and number not in keep]
    if not gone:
        return ""
    get = "gets" if len(gone) == 1 else "get"
    names = " and ".join(named(endpoint, number) for number in gone)
    return f" {names[0].upper()}{names[1:]} {get} none any more, and stops after its watch."


def candidates(endpoint: Endpoint) -> list[Release]:
    """The releases that a split may name: those that get requests, then the newest that did not fail; by number."""
    used = {number for number, percent in endpoint.traffic.items() if percent} | {endpoint.shadow}
    newest = sorted(endpoint.releases, key=lambda one: (one.number not in used, -one.number))
    usable = [one for one in newest if one.number in used or one.state != "failed"]
    return sorted(usable[:_MOST], key=lambda one: one.number)


def outcome(endpoint: Endpoint, weights: Mapping[int, int], shadow: int | None) -> str:
    """What a split does, in a sentence or three."""
    parts = [f"{percent} to release {number}" for number, percent in sorted(weights.items())]
    lines = [f"Of 100 requests {', '.join(parts)}."]
    if len(weights) == 1:
        lines = [f"All requests go to release {next(iter(weights))}."]
    if shadow is not None:
        lines.append(f"Release {shadow} gets a copy of each, and nobody sees its answers.")
    running = {number for number, percent in endpoint.traffic.items() if percent} | {endpoint.shadow}
    asleep = [f"release {number}" for number in sorted({*weights, shadow} - running - {None}, key=str)]
    if asleep:
        lines.append(f"First {' and '.join(asleep)} {'is' if len(asleep) == 1 else 'are'} started and warmed up.")
    return " ".join(lines)
