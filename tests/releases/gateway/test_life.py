"""The gateway's own life: starting, ports, drain, refused configurations, spans."""

from __future__ import annotations

import contextlib
import http.server
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from boxplat.releases import gateway
from tests.releases.gateway.conftest import Place, until
from tests.releases.gateway.servers import ask, many, request

pytestmark = pytest.mark.integration


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """A place whose gateway the test starts and stops itself; it lies deeper than a socket's path may be long."""
    found = Place(tmp_path / ("deep" * 25))
    yield found
    found.close()


def _envoy(place: Place) -> psutil.Process:
    return next(child for child in psutil.Process(place.process.pid).children() if child.name() == "envoy")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _standing(place: Place) -> Iterator[None]:
    """The gateway sees what is changed meanwhile as one change; it stands with no lock on the state."""
    process = psutil.Process(place.process.pid)
    with place.state.database.write():
        process.suspend()
        until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands")
    try:
        yield
    finally:
        process.resume()


def _taken(port: int) -> socket.socket:
    """The port of a listener that Envoy is about to close."""

    def bound() -> socket.socket | None:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            return None

    taken: socket.socket = until(bound, "the port is free")
    return taken


def test_a_stop_answers_what_it_has_begun_and_a_start_takes_the_same_ports(own: Place) -> None:
    own.start()
    server = own.server("1")
    name = own.endpoint({1: [server]}, {1: 100})
    port, ends = own.port(name), []

    def stop() -> None:
        until(lambda: server.got("/held"), "the request is under way")
        own.process.terminate()
        until(lambda: not _listens(port), "nothing new is taken")
        server.freed.set()
        ends.append(own.process.wait(90))

    stopping = threading.Thread(target=stop)
    stopping.start()
    answer = ask(port, request("/held"))
    stopping.join()
    assert answer.status == 200 and "connection: close" in answer.head.lower() and ends == [0]
    before = gateway.applied(own.state).at
    own.start()
    until(lambda: own.applied.at > before, "it is there again")
    assert own.port(name) == port and ask(port, request()).status == 200
    own.stop()
    with _taken(port):
        before = own.applied.at
        own.start()
        until(lambda: own.applied.at > before, "it is there again")
        assert own.port(name) != port and ask(own.port(name), request()).status == 200
        own.stop()


def test_without_envoy_the_process_ends_and_envoy_not_without_it(own: Place) -> None:
    own.start()
    own.endpoint({1: [own.server("1")]}, {1: 100})
    _envoy(own).kill()
    assert own.process.wait(90) not in (0, None)
    before = own.applied.at
    own.start()
    # Before that it may have the Envoy that only checks.
    until(lambda: own.applied.at > before, "Envoy is there again")
    envoy = _envoy(own)
    own.process.send_signal(signal.SIGKILL)
    own.process.wait(90)
    psutil.wait_procs([envoy], 90)
    assert not envoy.is_running()


def test_what_envoy_refuses_changes_nothing_and_is_told(own: Place) -> None:
    own.start()
    name = own.endpoint({1: [own.server("1")], 2: [own.server("2")]}, {1: 100})
    port = own.port(name)
    with _standing(own):
        own.state.endpoints.settle(name, {"port": 0, "sticky": "no header\n"})
        own.state.releases.split(name, {2: 100}, "test")
    until(lambda: own.applied.error, "the refusal is noted")
    assert "HeaderName" in own.applied.error and own.applied.serves(name, {1: 100})
    assert {answer.release for answer in many(port, [request()] * 20)} == {"1"}
    kinds = [event.kind for event in own.state.events.all(subject="gateway")]
    assert kinds.count("gateway.refused") == 1
    own.state.endpoints.settle(name, {"port": 0})
    until(lambda: own.applied.serves(name, {2: 100}), "the corrected one is taken")
    assert own.applied.error == "" and own.port(name) == port
    # Taken back instead of corrected: what is in use is what is wanted again, and no error stays.
    own.state.endpoints.settle(name, {"port": 0, "sticky": "no header\n"})
    until(lambda: own.applied.error, "the refusal is noted")
    own.state.endpoints.settle(name, {"port": 0})
    until(lambda: not own.applied.error, "the error is gone")
    own.stop()


def test_a_port_that_somebody_took_meanwhile_is_given_up(own: Place) -> None:
    """The endpoint had it before it was undeployed; the others are not held up."""
    own.start()
    name = own.endpoint({1: [own.server("1")]}, {1: 100})
    port = own.port(name)
    own.state.releases.split(name, {}, "test")
    until(lambda: name not in own.applied.endpoints, "it is gone")
    with _taken(port):
        own.split(name, {1: 100})
        assert own.applied.error == "" and own.port(name) != port
        assert ask(own.port(name), request()).status == 200
    own.stop()


class _Collector(http.server.BaseHTTPRequestHandler):
    spans: list[bytes] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        self.spans.append(self.path.encode() + b"\n" + body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_spans_go_to_the_collector_of_the_environment(own: Place) -> None:
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{collector.server_address[1]}"
    own.start(OTEL_EXPORTER_OTLP_ENDPOINT=base, OTEL_SERVICE_NAME="the-gateway")
    server = own.server("1")
    name = own.endpoint({1: [server]}, {1: 100})
    trace = "0af7651916cd43dd8448eb211c80319c"
    assert ask(own.port(name), request(traceparent=f"00-{trace}-b7ad6b7169203331-01")).status == 200
    parent = server.seen[-1].header("traceparent") or ""
    assert re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-01", parent) and "b7ad6b7169203331" not in parent
    until(lambda: any(bytes.fromhex(trace) in span for span in _Collector.spans), "the span is exported")
    sent = next(span for span in _Collector.spans if bytes.fromhex(trace) in span)
    assert sent.startswith(b"/v1/traces\n") and b"the-gateway" in sent and name.encode() in sent
    own.stop()
    collector.shutdown()
    thread.join()
    collector.server_close()
