"""What the answers given without BentoML's application must not get wrong, and that they are given."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from urllib.parse import urlsplit

import pytest

from tests.serving.cases import JSON, Case, posted
from tests.serving.conftest import SERVICES, ask, worker
from tests.serving.test_workers import until

pytestmark = pytest.mark.integration

# A server in which BentoML's models refuse to work.
_WITHOUT_MODELS = """
from boxplat.serving.codecs import reading, writing
def fail(given): raise AssertionError("by the models")
reading.reads = writing.writes = lambda spec: fail
from boxplat.serving.worker import main
main()
"""


def test_a_started_server_takes_the_fast_ways(tmp_path_factory: pytest.TempPathFactory) -> None:
    scratch = tmp_path_factory.mktemp("fast")
    with worker(SERVICES / "arrays", "service:Arrays", scratch / "ours", begin=["-c", _WITHOUT_MODELS]) as (url, _):
        fitting = [*posted("/scale", {"x": [[1, 2]]}, {"x": [1], "by": 3}), *posted("/whole", [[1.5], [2]])]
        fitting += [*posted("/scalar", {"x": [1.5]}), *posted("/described", {"x": [1]})]
        assert [ask(url, case).status for case in fitting] == [200] * len(fitting)
        assert ask(url, Case("/scale", b'{"x": ["a", 1]}')).status == 500


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("contexts")
    with worker(SERVICES / "contexts", "service:Contexts", scratch / "ours") as (url, _):
        yield url


@pytest.mark.parametrize("path", ["/asked", "/asked_async"])
def test_each_call_sees_its_own_request(contexts: str, path: str) -> None:
    def agent(number: int) -> str:
        answer = ask(contexts, Case(path, b"{}", {"content-type": JSON, "x-agent": str(number)}))
        found: str = json.loads(answer.body)["agent"]
        return found

    with ThreadPoolExecutor(12) as clients:
        assert list(clients.map(agent, range(120))) == [str(number) for number in range(120)]


@pytest.mark.parametrize("path", ["/ticking", "/ticking_in_thread"])
def test_a_stream_is_closed_when_its_client_goes(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    scratch = tmp_path_factory.mktemp("streaming")
    with worker(SERVICES / "streaming", "service:Streaming", scratch / "ours") as (url, _):
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
            connection.request("POST", path, b"{}", {"content-type": JSON})
            assert connection.getresponse().read(4) == b"tick"
        until("the stream is closed", lambda: ask(url, Case("/closings")).body == b"1")


def _held(url: str, enough: Event) -> int:
    """The status of a request that waits, in the end; it may be refused because of the test's own other one.

    Others take its place until it is enough: the first of two may have ended before the second one was there.
    """
    while (status := ask(url, Case("/wait")).status) == 429 or not enough.is_set():
        continue
    return status


def test_more_requests_than_a_service_allows_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    scratch = tmp_path_factory.mktemp("crowded")
    double = Case("/double", b'{"x": 1}')
    with (
        worker(SERVICES / "crowded", "service:Crowded", scratch / "ours") as (url, _),
        ThreadPoolExecutor(2) as clients,
    ):
        enough = Event()
        held = [clients.submit(_held, url, enough) for _ in range(2)]
        try:
            refused = until("both are held", lambda: (found := ask(url, double)).status == 429 and found)
        finally:
            enough.set()
        assert refused.body == b'{"error":"Too many requests"}' and refused.kind == JSON
        assert ask(url, Case("/readyz", None, {}, "GET")).status == 200
        assert [one.result() for one in held] == [504, 504]
        assert ask(url, double).body == b"2"
