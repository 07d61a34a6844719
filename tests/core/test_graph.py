"""References between services."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.graph import needs, references, resolve, start_order
from boxplat.core.model import Service


def test_own_references_are_no_dependency() -> None:
    service = Service("a", ("run", "${self.port}", "${box.root}", "${b.url}"), env={"X": "${c.port}"}, needs=("d",))
    assert needs(service) == {"b", "c", "d"}
    assert references("plain $b.url {c.url}") == set()


def test_resolve_replaces_each_reference_and_names_an_unknown_one() -> None:
    assert resolve("${a.url}/x?p=${self.port}", {"a.url": "http://h:1", "self.port": "2"}) == "http://h:1/x?p=2"
    with pytest.raises(BoxError, match=r"tracking\.urk.*did you mean 'tracking\.url'") as caught:
        resolve("${tracking.urk}", {"tracking.url": "x"})
    assert caught.value.code is ExitCode.USAGE


def test_a_value_that_looks_like_a_reference_is_not_resolved_again() -> None:
    assert resolve("${a.url}", {"a.url": "${b.url}"}) == "${b.url}"


@given(st.lists(st.sets(st.integers(0, 7)), min_size=8, max_size=8))
@settings(deadline=None)
def test_dependencies_come_first_or_the_circle_is_named(wanted: list[set[int]]) -> None:
    services = [Service(f"s{i}", ("x", *(f"${{s{j}.url}}" for j in below if j != i))) for i, below in enumerate(wanted)]
    try:
        order = start_order(services)
    except BoxError as error:
        assert "circle" in error.what
        return
    place = {name: number for number, name in enumerate(order)}
    assert sorted(order) == sorted(service.name for service in services)
    for service in services:
        assert all(place[other] < place[service.name] for other in needs(service))


def test_an_unknown_service_is_named_with_the_nearest() -> None:
    with pytest.raises(BoxError, match=r"'trackng', which does not exist .*'tracking'"):
        start_order([Service("tracking", ("x",)), Service("web", ("x", "${trackng.url}"))])
