"""A failing case made small: whatever can go while it still fails, goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.features.oracle.model import Case, View


def shrunk(case: Case, fails: Callable[[Case], bool], tries: int = 150) -> Case:
    """The smallest case found in at most `tries` runs."""
    left = tries
    found = True
    while found and left > 0:
        found = False
        for smaller in smaller_cases(case):
            left -= 1
            if fails(smaller):
                case, found = smaller, True
                break
            if left <= 0:
                break
    return case


def smaller_cases(case: Case) -> Iterator[Case]:
    """The case with less in it, the biggest cuts first."""
    for n in range(len(case.views)):
        if len(case.views) > 1:
            yield replace(case, views=[*case.views[:n], *case.views[n + 1 :]])
    for n in halves_then_single(len(case.rows)):
        yield replace(case, rows=[row for i, row in enumerate(case.rows) if i not in n])
    for i, view in enumerate(case.views):
        for less in smaller_views(view):
            yield replace(case, views=[*case.views[:i], less, *case.views[i + 1 :]])
    if case.given_as != "arrow":
        yield replace(case, given_as="arrow")


def smaller_views(view: View) -> Iterator[View]:
    for n in halves_then_single(len(view.rows)):
        yield replace(view, rows=[row for i, row in enumerate(view.rows) if i not in n])
    for source in view.features:
        if len(view.features) > 1:
            yield replace(view, features={s: f for s, f in view.features.items() if s != source})
    if view.parts > 1:
        yield replace(view, parts=1)


def halves_then_single(length: int) -> Iterator[set[int]]:
    """Which rows to leave out."""
    if length > 2:
        yield set(range(length // 2))
        yield set(range(length // 2, length))
    for n in range(length):
        yield {n}


def described(case: Case) -> str:
    """The case as text that can be read and typed in again."""
    lines = [f"entity rows as {case.given_as}, cutoff={case.cutoff}, full_names={case.full_names}"]
    lines += [f"  {name}: {type_}" for name, type_ in case.types.items()]
    lines += [f"  {row}" for row in case.rows]
    for view in case.views:
        lines += [
            f"view {view.label} ttl={view.ttl_us} created={view.created} parts={view.parts} keys={dict(view.keys)}"
        ]
        lines += [f"  aliases={dict(view.aliases)} features={dict(view.features)}"]
        lines += [f"  {name}: {type_}" for name, type_ in view.types.items()]
        lines += [f"  {row}" for row in view.rows]
    return "\n".join(lines)
