"""What becomes of one request: bytes, numbers, retries, limits, time, through a real Envoy."""

from __future__ import annotations

import json
import math
import re
import socket
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import psutil
import pytest

from boxplat.releases.live import Meter
from tests.releases.gateway.conftest import Place, until, whole_lines
from tests.releases.gateway.servers import ask, dead_port, many, request

pytestmark = pytest.mark.integration


def _lines(head: str) -> list[str]:
    return head.strip().split("\r\n")[1:]


def test_a_proxy_adds_the_number_of_the_request_and_nothing_else(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100})
    text = request(
        "/a//b/../%2e?q=1", "PUT", b"body", X_MiXeD="1", Cookie="a=b", Authorization="Bearer own", Accept="*/*"
    )
    direct, through = ask(server.port, text), ask(place.port(name), text)
    first, second = server.seen[-2:]
    assert first.path == second.path == "/a//b/../%2e?q=1"
    added = [line for line in _lines(second.head) if line not in _lines(first.head)]
    assert [line.partition(":")[0] for line in added] == ["x-request-id"]
    assert set(_lines(first.head)) <= set(_lines(second.head))
    assert through.body == direct.body and through.status == direct.status
    extra = [line for line in _lines(through.head) if line not in _lines(direct.head)]
    assert sorted(line.partition(":")[0] for line in extra) == ["date", "x-request-id"]
    assert set(_lines(direct.head)) <= set(_lines(through.head))


def test_a_given_number_stays_and_a_made_one_is_told(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100})
    given = ask(place.port(name), request(x_request_id="mine-1"))
    assert server.seen[-1].header("x-request-id") == "mine-1" and "x-request-id: mine-1\r\n" in given.head
    made = ask(place.port(name), request())
    number = server.seen[-1].header("x-request-id")
    assert number and re.fullmatch(r"[0-9a-f-]{36}", number) and f"x-request-id: {number}\r\n" in made.head


def test_what_was_never_sent_is_tried_elsewhere_whatever_the_method(place: Place) -> None:
    alive = place.server("alive")
    name = place.endpoint({1: [alive]}, {1: 100})
    place.replicas(name, 1, [dead_port(), alive.port])
    until(lambda: len(place.applied.endpoints[name].targets[1]) == 2, "both processes")
    answers = many(place.port(name), [request(method=method) for method in ("POST", "GET", "PATCH")] * 20, 4)
    assert Counter(answer.status for answer in answers) == {200: 60}


@pytest.mark.parametrize(
    ("method", "repeatable", "tries"),
    [("POST", False, 1), ("PATCH", False, 1), ("GET", False, 3), ("PUT", False, 3), ("POST", True, 3)],
)
def test_what_broke_off_is_tried_again_where_the_method_allows(
    place: Place, method: str, repeatable: bool, tries: int
) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, repeatable=repeatable)
    answer = ask(place.port(name), request("/reset", method))
    assert answer.status == 503
    assert json.loads(answer.body)["by"] == "gateway"
    assert len(server.got("/reset")) == tries


def test_another_process_answers_for_one_that_broke_off(place: Place) -> None:
    bad, good = place.server("bad"), place.server("good")
    good.resets = False
    name = place.endpoint({1: [bad, good]}, {1: 100}, repeatable=True)
    answers = many(place.port(name), [request("/reset")] * 200, 8)
    assert Counter(answer.release for answer in answers) == {"good": 200}


def test_a_process_that_keeps_failing_is_left_out_and_an_only_one_never(place: Place) -> None:
    bad, good = place.server("bad"), place.server("good")
    good.fails = False
    name = place.endpoint({1: [bad, good]}, {1: 100})
    answers = many(place.port(name), [request("/fail")] * 400, 1)
    # Not the last ones: on a slow machine its rest may be over by then.
    assert max(len(list(run)) for status, run in groupby(one.status for one in answers) if status == 200) > 50
    assert 10 <= len(bad.seen) < 40, "ten failures in a row, then five seconds of rest"
    alone = place.endpoint({1: [bad]}, {1: 100})
    before = len(bad.seen)
    many(place.port(alone), [request("/fail")] * 100, 1)
    assert len(bad.seen) - before == 100


def test_more_at_once_than_allowed_is_refused_at_once(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, in_flight=4, retries=0)
    done, meter = [0], Meter(place.paths)

    def known() -> int:
        held = len(server.got("/held"))
        return done[-1] + held + next(row.waiting for row in meter.read() if row.endpoint == name)

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(many, place.port(name), [request("/held")] * 24, 24, done.append)
        try:
            until(lambda: known() == 24, "all are refused while the others are held")
        finally:
            server.freed.set()
        answers = asking.result(90)
    refused = [answer for answer in answers if answer.status == 503]
    # Four at work; of those that come in the same moment some wait for their connections.
    assert 4 <= len(answers) - len(refused) <= 8
    assert "overflow" in json.loads(refused[0].body)["error"]


def test_requests_beyond_the_rate_get_429(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, requests_per_second=5)
    began = time.monotonic()
    answers = many(place.port(name), [request()] * 200, 4)
    fills = math.ceil(time.monotonic() - began)
    found = Counter(answer.status for answer in answers)
    assert found.keys() == {200, 429} and 5 <= found[200] <= 5 * (fills + 1)
    refused = next(answer for answer in answers if answer.status == 429)
    assert "retry-after: 1\r\n" in refused.head and json.loads(refused.body)["status"] == 429


def test_a_body_too_large_is_refused_by_its_length_alone(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, body_mib=1)
    fits = ask(place.port(name), request("/size", body=b"x" * 2**20))
    assert json.loads(fits.body)["size"] == str(2**20)
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {2**20 + 1}\r\n"
    for expect in ("", "Expect: 100-continue\r\n"):
        answer = ask(place.port(name), f"{head}{expect}\r\n".encode())
        assert answer.status == 413 and "1 MiB" in json.loads(answer.body)["error"]
    assert len(server.seen) == 1


def test_a_long_body_passes_without_being_held(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, body_mib=0)
    envoy = next(p for p in psutil.process_iter(["name", "cmdline"]) if _is_ours(p, place))
    before = envoy.memory_info().rss
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    text = b"POST /size HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 1600 + b"0\r\n\r\n"
    assert json.loads(ask(place.port(name), text).body)["size"] == str(1600 * 65536)
    assert envoy.memory_info().rss - before < 30 * 2**20


def _is_ours(process: psutil.Process, place: Place) -> bool:
    try:
        return process.name() == "envoy" and process.cwd() == str(place.paths.state / "gateway")
    except psutil.Error:
        return False


def test_a_request_that_stands_still_is_given_up(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, timeout=2.0, retries=2)
    answer = ask(place.port(name), request("/slow/60"))
    assert answer.status == 504 and answer.seconds < 50
    until(lambda: server.got("/slow/60"), "it was sent")
    assert len(server.got("/slow/60")) == 1


def test_pieces_of_a_stream_arrive_as_they_are_sent(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100}, timeout=60.0)
    with socket.create_connection(("127.0.0.1", place.port(name)), timeout=60) as sock:
        sock.sendall(request("/stream"))
        heard = b""
        for piece in (b"one", b"two", b"six"):
            assert piece not in heard
            server.pieces.release()
            while piece not in heard:
                heard += sock.recv(65536)
        while not heard.endswith(b"0\r\n\r\n"):
            heard += sock.recv(65536)


def test_the_access_log_has_no_secrets(place: Place) -> None:
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100})
    marks = {"Authorization": "Bearer s3cret-a", "Cookie": "c=s3cret-b"}
    ask(place.port(name), request("/predict?token=s3cret-c", body=b"s3cret-d", x_request_id="log-1", **marks))
    path = place.paths.logs / "gateway-access.log"
    line = until(lambda: next((text for text in whole_lines(path) if '"log-1"' in text), None), "the line")
    assert "s3cret" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    found = json.loads(line)
    wanted = {"endpoint": name, "release": f"{name}@1", "status": 200, "path": "/predict", "method": "POST"}
    assert found | wanted == found and found["milliseconds"] >= 0 and found["process"] == f"127.0.0.1:{server.port}"


def test_statistics_are_told_by_release(place: Place) -> None:
    servers = {1: [place.server("1")], 2: [place.server("2")]}
    name = place.endpoint(servers, {1: 100})
    many(place.port(name), [request()] * 5)
    place.split(name, {2: 100})
    many(place.port(name), [request()] * 7)
    text = urllib.request.urlopen(f"http://127.0.0.1:{place.own_port}/metrics").read().decode()
    rows = re.findall(r'envoy_cluster_upstream_rq_total\{envoy_cluster_name="(\S+)"\} (\d+)', text)
    assert (f"{name}@1", "5") in rows and (f"{name}@2", "7") in rows
    assert urllib.request.urlopen(f"http://127.0.0.1:{place.own_port}/ready").status == 200


def test_nobody_reaches_the_administration(place: Place) -> None:
    for path in ("/config_dump", "/quitquitquit", "/stats", "/metrics/../quitquitquit"):
        assert ask(place.own_port, request(path)).status == 404
    admin = place.paths.state / "gateway" / "admin.sock"
    assert admin.stat().st_mode & 0o777 == 0o600


def _settle(place: Place, name: str, ports: list[int]) -> None:
    until(lambda: place.applied.endpoints[name].targets.get(1) == tuple(ports), f"{ports}")


def test_processes_come_and_go_with_their_state(place: Place) -> None:
    from boxplat.core.model import State

    first, second = place.server("a"), place.server("b")
    name = place.endpoint({1: [first, second]}, {1: 100})
    _settle(place, name, [first.port, second.port])
    place.state.services.moved(f"{name}@1.2", State.WAITING, "", None, port=second.port, pid=None)
    _settle(place, name, [first.port])
    # None answers: the connection waits at the supervisor's socket for whoever comes back.
    place.state.services.moved(f"{name}@1", State.STARTING, "", None, port=first.port, pid=None)
    _settle(place, name, [first.port, second.port])
    began = time.monotonic()
    assert ask(place.port(name), request()).status == 200 and time.monotonic() - began < 50
    for service, state in ((f"{name}@1", State.STOPPED), (f"{name}@1.2", State.FAILED)):
        place.state.services.moved(service, state, "", None, pid=None)
    # Nobody listens there any more, whatever port is on record.
    until(lambda: place.applied.endpoints[name].targets == {}, "no targets")
    assert ask(place.port(name), request()).status == 503


def test_a_process_too_many_gets_nothing_while_the_others_answer(place: Place) -> None:
    """The replicas were made fewer: it must have lost its requests before it is stopped."""
    first, second = place.server("a"), place.server("b")
    name = place.endpoint({1: [first, second]}, {1: 100}, replicas=2)
    _settle(place, name, [first.port, second.port])
    place.state.endpoints.settle(name, {"port": 0, "replicas": 1})
    _settle(place, name, [first.port])


def test_a_release_without_processes_is_the_gateways_503(place: Place) -> None:
    name = place.endpoint({1: []}, {1: 100})
    answer = ask(place.port(name), request())
    assert answer.status == 503 and json.loads(answer.body)["by"] == "gateway"
