"""Who answers: splits, sticky keys, copies, and changes under load, through a real Envoy."""

from __future__ import annotations

import math
import time
from collections import Counter

import pytest

from tests.releases.gateway.conftest import Place, until
from tests.releases.gateway.servers import ask, many, request

pytestmark = pytest.mark.integration


def test_a_split_is_what_it_says_over_20000_requests(place: Place) -> None:
    servers = {1: [place.server("1")], 2: [place.server("2")]}
    name = place.endpoint(servers, {1: 90, 2: 10})
    answers = many(place.port(name), [request()] * 20_000)
    found = Counter(answer.release for answer in answers)
    # Four standard deviations of a binomial: a right split fails once in 16,000 runs.
    assert abs(found["2"] - 2000) < 4 * math.sqrt(20_000 * 0.9 * 0.1), found


def test_a_key_stays_with_its_release_and_few_keys_move(place: Place) -> None:
    servers = {number: [place.server(str(number))] for number in (1, 2, 3)}
    name = place.endpoint(servers, {1: 60, 2: 30, 3: 10}, sticky="x-user")
    port, keys = place.port(name), [f"user-{number}" for number in range(2000)]

    def owners() -> list[str]:
        twice = [many(port, [request(x_user=key) for key in keys]) for _ in range(2)]
        assert [a.release for a in twice[0]] == [a.release for a in twice[1]]
        return [answer.release for answer in twice[0]]

    before = owners()
    place.split(name, {1: 40, 2: 30, 3: 30})
    after = owners()
    moved = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {("1", "3")}
    share = sum(old != new for old, new in zip(before, after, strict=True)) / len(keys)
    assert abs(share - 0.2) < 4 * math.sqrt(0.2 * 0.8 / len(keys))
    assert len({answer.release for answer in many(port, [request()] * 200)}) == 3, "without a key it is random"


def test_a_shadow_gets_copies_whose_answers_go_nowhere(place: Place) -> None:
    live, shadow = place.server("live"), place.server("shadow")
    name = place.endpoint({1: [live], 2: [shadow]}, {1: 100}, shadow=2)
    lies = {"x_boxplat_shadow": "1", "x_boxplat_warmup": "1"}
    answers = many(place.port(name), [request(f"/n{n}", x_request_id=f"r{n}", **lies) for n in range(300)], 4)
    assert {answer.release for answer in answers} == {"live"}
    until(lambda: len(shadow.seen) == 300, "every request is copied")
    assert {seen.header("x-boxplat-shadow") for seen in shadow.seen} == {"1"}
    assert {seen.header("x-boxplat-shadow") for seen in live.seen} == {None}
    assert {seen.header("x-boxplat-warmup") for seen in live.seen + shadow.seen} == {None}
    ids = {(seen.path, seen.header("x-request-id")) for seen in live.seen}
    assert ids == {(seen.path, seen.header("x-request-id")) for seen in shadow.seen}
    assert {seen.header("host") for seen in shadow.seen} == {"here"}


def test_a_slow_shadow_costs_the_caller_nothing(place: Place) -> None:
    live, shadow = place.server("live"), place.server("shadow")
    name = place.endpoint({1: [live], 2: [shadow]}, {1: 100}, shadow=2)
    # The live release knows no such path and answers at once; the shadow takes its time over it.
    live.slow = False
    began = time.monotonic()
    answers = many(place.port(name), [request("/slow/300", body=b"x" * 300_000)] * 400, 8)
    assert {answer.status for answer in answers} == {200}
    assert time.monotonic() - began < 200
    assert len(shadow.seen) < 400, "copies beyond what the shadow can take are dropped"


def test_no_request_is_lost_while_everything_changes(place: Place) -> None:
    servers = {number: [place.server(str(number)), place.server(str(number))] for number in (1, 2, 3)}
    name = place.endpoint(servers, {1: 100}, sticky="x-user")
    steps = [{1: 50, 2: 50}, {2: 100}, {2: 10, 3: 90}, {1: 100}, {1: 30, 2: 30, 3: 40}]
    taken: list[int] = []

    def each(count: int) -> None:
        if count % 500 == 0 and len(taken) < 25:
            step = steps[len(taken) % len(steps)]
            place.state.endpoints.settle(
                name, {"port": 0, "replicas": 2, "sticky": "x-user", "timeout": 100.0 + len(taken)}
            )
            place.state.releases.split(name, step, "test", shadow=3 if 3 not in step else None)
            taken.append(count)

    texts = [request(f"/{number % 7}", x_user=str(number), body=b"x" * (number % 5000)) for number in range(15_000)]
    answers = many(place.port(name), texts, 12, each)
    assert Counter(answer.status for answer in answers) == {200: 15_000}
    assert len(taken) == 25
    last = steps[(len(taken) - 1) % len(steps)]
    until(lambda: place.applied.serves(name, last, 3 if 3 not in last else None), "the last change is taken")


def test_a_request_under_way_ends_where_it_began(place: Place) -> None:
    """Its release loses all traffic and its cluster while it answers."""
    old, new = place.server("old"), place.server("new")
    name = place.endpoint({1: [old], 2: [new]}, {1: 100})

    def change(_: int) -> None:
        """Called once the quick request is answered, while the slow one waits."""
        if place.applied.serves(name, {1: 100}):
            until(lambda: old.got("/held"), "the slow one is under way")
            place.split(name, {2: 100})
            place.state.services.remove(f"{name}@1", "test")
            until(lambda: 1 not in place.applied.endpoints[name].targets, "the old release is gone")
            old.freed.set()

    answers = many(place.port(name), [request("/held"), request("/quick")], 2, change)
    assert [answer.release for answer in answers] == ["old", "old"]
    assert ask(place.port(name), request()).release == "new"
