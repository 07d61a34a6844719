"""What releases do now: the figures against what a client sent and a server did, and against plain definitions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.cli import box as command
from boxplat.core.paths import Paths
from boxplat.releases.live import Counts, Live, Meter, Reading, add_batches, between, percentile
from tests.releases.gateway.conftest import Place, until
from tests.releases.gateway.servers import many, request


def of(meter: Meter, endpoint: str) -> dict[int, Live]:
    return {row.release: row for row in meter.read() if row.endpoint == endpoint}


@pytest.mark.integration
def test_figures_are_those_of_the_traffic(place: Place) -> None:
    servers = {1: [place.server("1"), place.server("1")], 2: [place.server("2")], 3: [place.server("3")]}
    name = place.endpoint(servers, {1: 70, 2: 30}, shadow=3)
    before = place.endpoint({1: [place.server("1")]}, {1: 100})
    many(place.port(before), [request()] * 50)
    # By a slow clock, so that no reading is too old before everything is counted.
    meter = Meter(place.paths, lambda: time.monotonic() / 10)
    assert {row.requests for row in meter.read()} == {0}, "what was before the first reading counts in no rate"
    texts = [request("/slow/0.3")] * 60 + [request("/fail")] * 40 + [request()] * 300
    began = time.monotonic()
    given = many(place.port(name), texts, 8)
    took = 1000 * (time.monotonic() - began)
    answers = Counter((answer.release, answer.status) for answer in given)

    def seen(release: int, share: float) -> float:
        """What the clients saw of it, with the width of what times are counted in; no client sees a shadow."""
        times = Counter(1000 * answer.seconds for answer in given if answer.release == str(release))
        return 1.05 * (percentile(times, share) or took) + 1

    def timely(row: Live) -> bool:
        p50, p99 = row.p50_ms, row.p99_ms
        if p50 is None or p99 is None:
            return False
        return p50 <= seen(row.release, 0.5) and 285 <= p99 <= seen(row.release, 0.99)

    def measured() -> dict[int, Live]:
        found = of(meter, name)
        # Times are brought together by the gateway once a second.
        whole = found[1].requests + found[2].requests == 400 and found[3].requests == 400
        quiet = not any(row.queue for row in found.values())
        return found if whole and quiet and all(map(timely, found.values())) else {}

    found = until(measured, "everything is counted")
    for tag, row in (("1", found[1]), ("2", found[2])):
        assert row.requests == answers[tag, 200] + answers[tag, 500] and row.failed == answers[tag, 500]
        assert row.per_second == pytest.approx(row.requests / row.seconds)
        assert (row.queue, row.waiting, row.refused, row.batch) == (0, 0, 0, None)
    assert found[3].failed == 40, "a shadow's copies are counted as its own"
    assert {row.requests for row in of(meter, before).values()} == {0}


@pytest.mark.integration
def test_what_is_under_way_is_the_queue(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100})
    meter, port = Meter(place.paths), place.port(name)
    asking = threading.Thread(target=lambda: many(port, [request("/held")] * 3, 3))
    asking.start()
    try:
        until(lambda: of(meter, name)[1].queue == 3, "they are under way")
    finally:
        server.freed.set()
        asking.join()
    until(lambda: of(meter, name)[1].queue == 0, "they are answered")


def test_without_a_gateway_there_are_no_figures(tmp_path: Path) -> None:
    assert Meter(Paths(tmp_path)).read() == ()
    (tmp_path / "boxplat.toml").write_text("")
    done = CliRunner().invoke(command, ["--project", str(tmp_path), "endpoints", "live", "--seconds", "0.1", "--json"])
    assert json.loads(done.stdout) == {"schema_version": 1, "live": []}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[int], share: float) -> None:
    enough = [one for one in sorted(values) if sum(other <= one for other in values) >= share * len(values)]
    assert percentile(Counter(float(value) for value in values), share) == enough[0]


def reading(at: float, answered: int, batches: float = 0, calls: float = 0) -> Reading:
    counts = Counts(Counter(completed=answered), Counter({1.0: answered}), batches, calls)
    return Reading(at, 100, {("delay", 7): counts})


@pytest.mark.parametrize(
    ("before", "now", "requests", "batch"),
    [
        (reading(0, 100, 10, 40), reading(10, 150, 20, 70), 50, 3.0),
        (reading(0, 100, 10, 40), reading(10, 30, 5, 10), 30, 2.0),  # its cluster and its process began anew
        (Reading(0, 100, {}), reading(10, 30), 30, None),  # it has come since
    ],
)
def test_what_begins_anew_counts_from_nothing(before: Reading, now: Reading, requests: int, batch: float) -> None:
    (found,) = between(before, reading(9, now.counts["delay", 7].numbers["completed"] - 3), now)
    assert found.latest == 3
    assert (found.requests, found.batch, found.per_second) == (requests, batch, requests / 10)
    assert found.p50_ms == 1.0 and found.failed_share == 0


def test_calls_of_a_batch_are_read_from_the_servers_files(tmp_path: Path) -> None:
    """As prometheus_client writes them in the server; another release's and another metric's do not count."""
    code = (
        "from prometheus_client import Histogram, CollectorRegistry as R; r = R()\n"
        "h = Histogram('bentoml_service_adaptive_batch_size', 'x', ['m'], registry=r, buckets=(1, 2, 4))\n"
        "for n in (1, 2, 3, 10): h.labels(m='a').observe(n)\n"
        "Histogram('bentoml_service_request_duration_seconds', 'x', registry=r).observe(3)\n"
    )
    for folder in ("metrics-delay@7", "metrics-delay@7.2", "metrics-delay@71"):
        (tmp_path / folder).mkdir()
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / folder)}
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
    (tmp_path / "metrics-delay@7" / "histogram_1.db").write_bytes(b"\x10")
    counts = {("delay", 7): Counts()}
    add_batches(tmp_path, counts)
    assert (counts["delay", 7].batches, counts["delay", 7].calls) == (8, 32)
