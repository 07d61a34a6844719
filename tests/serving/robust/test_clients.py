"""Clients that are slow, deaf, half gone or gone: they end, and nobody else notices."""

from __future__ import annotations

import json
import resource
import select
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.robust.conftest import GRACE_SECONDS, Server, until
from tests.serving.sockets import ENDED, chunked, connected, exchange, request, rest, statuses

pytestmark = pytest.mark.integration
_BODY = b'{"a": 1, "x": "' + b"x" * 100_000 + b'"}'
# What a client sends at once, and what byte by byte.
_SLOW = {
    "nothing": (b"", b""),
    "an empty line": (b"\r\n", b""),
    "empty lines": (b"\r\n", b"\r\n" * 10_000),
    "half a head": (b"POST /add HTT", b""),
    "a head byte by byte": (b"", request("/add", b'{"a":1}', [b"X: " + b"x" * 10_000])),
    "no body": (request("/add", _BODY)[: -len(_BODY)], b""),
    "a body byte by byte": (request("/add", _BODY)[: -len(_BODY)], _BODY),
    "a long body byte by byte": (request("/add", _BODY * 5)[: -len(_BODY) * 5], _BODY),
    "chunks byte by byte": (b"", chunked("/add", *([b" "] * 10_000))),
    "a form byte by byte": (
        b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 99999\r\n\r\n",
        b"--b\r\n" + b"x" * 10_000,
    ),
    "a second request's head": (request("/add", b'{"a":1}', close=False) + b"POST /a", b""),
    "a second request's body": (request("/add", b'{"a":1}', close=False) + request("/add", _BODY)[:-9], b""),
    "an empty line after a request": (request("/add", b'{"a":1}', close=False) + b"\r\n", b""),
    "after a web socket's hello": (
        b"POST /add HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 7\r\n\r\n",
        b"",
    ),
    "idle after a request": (request("/add", b'{"a":1}', close=False), b""),
    "half a TLS hello": (bytes.fromhex("16030100"), b""),
}


def _trickled(url: str, first: bytes, slowly: bytes) -> bytes:
    """Send some at once and the rest at ten bytes a second, until the server ends the connection."""
    with connected(url, timeout=6 * GRACE_SECONDS) as made:
        try:
            made.sendall(first)
            for byte in slowly[: 10 * 5 * GRACE_SECONDS]:
                if select.select([made], [], [], 0.1)[0]:
                    break
                made.sendall(bytes([byte]))
        except OSError:
            return rest(made)
        return rest(made)


def test_slow_clients_are_ended_and_do_not_hold_others_up(server: Server) -> None:
    with ThreadPoolExecutor(len(_SLOW)) as pool:
        found = {name: pool.submit(_trickled, server.url, *sent) for name, sent in _SLOW.items()}
        asked = 0
        while not all(one.done() for one in found.values()):
            assert server.asked("add", a=asked) == asked + 0.5
            asked += 1
    # Had each of the slow ones held the others up until it was ended, there were no more answers than slow ones.
    assert asked > 2 * len(_SLOW)
    answers = {name: one.result() for name, one in found.items()}
    kept = [name for name, answer in answers.items() if answer.endswith(b"<open>")]
    assert not kept
    assert not [name for name, answer in answers.items() if set(statuses(answer)) - {200, 400, 403, 408}]


def test_500_idle_connections_leave_room_and_end(server: Server) -> None:
    idle = [connected(server.url) for _ in range(500)]
    assert server.asked("add", a=1) == 1.5
    with ThreadPoolExecutor(8) as pool:
        assert all(answer == ENDED for answer in pool.map(rest, idle))
    for one in idle:
        one.close()


def test_a_server_without_descriptors_recovers(server: Server) -> None:
    """Connections beyond them are closed at once; as soon as the idle ones have ended it serves again."""
    pid, held = server.process.pid, server.process.num_fds()
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + 30, before[1]))
    try:
        idle = [connected(server.url) for _ in range(100)]
        with ThreadPoolExecutor(8) as pool:
            # Until the last has been accepted or refused: a server that is slow to accept has few descriptors too.
            assert not [answer for answer in pool.map(rest, idle) if answer.endswith(b"<open>")]
        until(lambda: server.process.num_fds() <= held + 1)
        assert server.asked("add", a=1) == 1.5
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    for one in idle:
        one.close()


_LAST = {
    "add": request("/add", b'{"a":1}', close=False),
    "held": request("/held", b'{"seconds":0.3}', close=False),
    "blocked": request("/blocked", b'{"seconds":0.3}', close=False),
    "doubled": request("/doubled", b'{"x":[1]}', close=False),
    "held, in chunks": chunked("/held", b'{"seconds"', b":0.3}", close=False),
    "large": request("/large", b'{"mib":3}', close=False),
    "several": request("/held", b'{"seconds":0.1}', close=False) * 3,
    "a file": request(
        "/size",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc\r\n--b--\r\n',
        [b"Content-Type: multipart/form-data; boundary=b"],
        close=False,
    ),
    "held, for 1.0": b'POST /held HTTP/1.0\r\nContent-Length: 15\r\n\r\n{"seconds":0.3}',
    "an error": request("/add", b"{", close=False),
    "a probe": request("/readyz", b"", (), b"GET", close=False),
}


@pytest.mark.parametrize("name", _LAST)
def test_a_half_closed_connection_gets_its_answers(server: Server, name: str) -> None:
    answer = exchange(server.url, _LAST[name], half_closed=True)
    count = 3 if name == "several" else 1
    assert statuses(answer) == [400 if name == "an error" else 200] * count, answer[:300]
    assert answer.endswith(ENDED)
    if name == "large":
        assert len(answer) > 3 * 2**20


def _gone(made: socket.socket, reset: bool) -> None:
    if reset:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()


@pytest.mark.parametrize("reset", [False, True])
def test_clients_that_go_before_their_answer(server: Server, reset: bool) -> None:
    begun = server.asked("counts")[1]
    several = [connected(server.url) for _ in range(5)]
    for made in several:
        made.sendall(request("/held", b'{"seconds":0.5}', close=False))
    until(lambda: server.asked("counts")[1] == begun + 5)
    for made in several:
        _gone(made, reset)


def test_what_nobody_waits_for_is_not_begun(server: Server) -> None:
    """Two threads work; three more calls wait for one, and their clients go: they are never made."""
    _, begun, _ = server.asked("counts")
    server.asked("gate", is_open=False)
    working = [connected(server.url) for _ in range(2)]
    for made in working:
        made.sendall(request("/gated", b"{}"))
    until(lambda: server.asked("counts")[1] == begun + 2)
    waiting = [connected(server.url) for _ in range(3)]
    for made in waiting:
        made.sendall(request("/blocked", b'{"seconds":0.1}', close=False))
    server.asked("counts")
    for made in waiting:
        _gone(made, reset=True)
    server.asked("gate", is_open=True)
    assert [statuses(rest(made)) for made in working] == [[200], [200]]
    assert server.asked("blocked", seconds=0) == 0
    assert server.asked("counts")[1] == begun + 3


@pytest.mark.parametrize("reset", [False, True])
def test_a_stream_ends_with_its_client(server: Server, reset: bool) -> None:
    made = connected(server.url)
    made.sendall(request("/endless", b"{}", close=False))
    assert made.recv(2**16)
    assert server.asked("counts")[0] == 1
    _gone(made, reset)
    until(lambda: server.asked("counts")[0] == 0)


def test_a_client_that_does_not_read_a_stream(server: Server) -> None:
    with server.bounded() as check, connected(server.url) as made:
        made.sendall(request("/endless", b"{}", close=False))
        for _ in range(100):
            assert server.asked("add", a=1) == 1.5
        check()


def test_a_client_that_does_not_read_large_answers(server: Server) -> None:
    """A hundred answers of 8 MiB to one connection: at most a few of them are in memory."""
    with server.bounded() as check, connected(server.url) as made:
        made.sendall(request("/large", b'{"mib":8}', close=False) * 100)
        for _ in range(100):
            assert server.asked("add", a=1) == 1.5
            check()


def test_20_000_requests_ahead_of_their_answers(server: Server) -> None:
    """A client that sends all before it reads gets all, in order; the server does not keep them meanwhile."""
    count = 20_000
    # The time-out is that of all that is sent.
    with server.bounded(), connected(server.url, timeout=240) as made, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(
            made.sendall,
            b"".join(request("/add", b'{"a":%d}' % n, close=n == count - 1) for n in range(count)),
        )
        until(lambda: sent.done() or bool(select.select([made], [], [], 0)[0]))
        answers = rest(made)
        sent.result()
    parts = answers.removesuffix(ENDED).split(b"HTTP/1.1 200 OK")[1:]
    assert [float(part.split(b"\r\n\r\n")[1]) for part in parts] == [n + 0.5 for n in range(count)]


@pytest.mark.parametrize("kind", ["probes", "chunks", "mixed"])
def test_requests_are_pipelined_on_the_long_way(server: Server, kind: str) -> None:
    """As many as a packet holds, its end within a head."""
    add, parts = request("/add", b'{"a":1}', close=False), chunked("/add", b'{"a"', b":1}", close=False)
    one = {"probes": request("/livez", b"", (), b"GET", close=False), "chunks": parts, "mixed": add + parts}[kind]
    count = 3000 // (2 if kind == "mixed" else 1)
    with connected(server.url, timeout=240) as made, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(made.sendall, one * count + request("/add", b'{"a":1}'))
        answers = rest(made)
        sent.result()
    assert statuses(answers) == [200] * 3001


def test_answers_come_in_the_order_of_the_requests(server: Server) -> None:
    """Quick after slow, of the loop, of threads and of batches, on the short way and on the long one."""
    asked = [
        ("/held", {"seconds": 0.3}, 0.3),
        ("/add", {"a": 1}, 1.5),
        ("/blocked", {"seconds": 0.2}, 0.2),
        ("/doubled", {"x": [1]}, [2]),
        ("/add", {"a": 2}, 2.5),
        ("/held", {"seconds": 0.1}, 0.1),
        ("/shape", {"x": [[1]]}, [1, 1]),
    ] * 3
    sent = [
        (chunked if n % 3 == 1 else request)(path, json.dumps(body).encode(), close=n == len(asked) - 1)
        for n, (path, body, _) in enumerate(asked)
    ]
    answers = exchange(server.url, b"".join(sent))
    parts = answers.removesuffix(ENDED).split(b"HTTP/1.1 200 OK")[1:]
    assert [json.loads(part.split(b"\r\n\r\n")[1]) for part in parts] == [value for *_, value in asked]


@pytest.mark.parametrize("how", ["exit", "interrupt", "generator"])
def test_a_function_that_leaves_its_thread_does_not_take_the_server_along(server: Server, how: str) -> None:
    body = b'{"how":"%b"}' % how.encode()
    assert statuses(exchange(server.url, request("/left", body))) == [500]
    assert statuses(exchange(server.url, chunked("/left", body))) == [500]


def test_errors_that_cannot_be_told_do_not_use_up_the_threads(server: Server) -> None:
    found = [statuses(exchange(server.url, request("/mistold", b"{}"))) for _ in range(5)]
    assert found == [[500]] * 5 and server.asked("add", a=1) == 1.5


def test_a_function_that_leaves_by_the_inference_protocol(server: Server) -> None:
    how = {"name": "how", "datatype": "BYTES", "shape": [1], "data": ["exit"]}
    body = json.dumps({"inputs": [how]}).encode()
    assert statuses(exchange(server.url, request("/v2/models/left/infer", body))) == [500]
    assert server.asked("add", a=1) == 1.5


def test_calls_for_no_rows_beside_others(server: Server) -> None:
    bodies = [b'{"x":[1]}', b'{"x":[]}', b'{"x":[]}', b'{"x":[2]}'] * 8
    with ThreadPoolExecutor(len(bodies)) as pool:
        found = [*pool.map(lambda body: statuses(exchange(server.url, request("/doubled", body))), bodies)]
    assert found == [[200]] * len(bodies) and server.asked("doubled", x=[3]) == [6]


def test_a_head_that_is_too_large_in_one_piece(server: Server) -> None:
    """Not answered without its last headers."""
    heads = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 90) for n in range(1200))
    assert statuses(exchange(server.url, b"GET /livez HTTP/1.1\r\nhost: a\r\n" + heads + b"\r\n")) == [431]
