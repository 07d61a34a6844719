"""Requests that no HTTP client would send get the bytes that `bentoml serve` answers: status line, headers and body."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.conftest import Pair
from tests.serving.sockets import chunked, exchange, request, statuses
from tests.serving.wires import ONE, WIRES

# Of each request anew.
_OWN = re.compile(rb"(\r\ndate|\r\nx-bentoml-request-id): [^\r]*", re.IGNORECASE)


def _answer(url: str, *pieces: bytes) -> bytes:
    return _OWN.sub(rb"\1", exchange(url, *pieces))


@pytest.mark.integration
@pytest.mark.parametrize("pair", ["scalars"], indirect=True, scope="module")
def test_every_byte_of_the_answer(pair: tuple[str, Pair]) -> None:
    def both(name: str) -> str:
        ours, stock = (_answer(url, WIRES[name]) for url in (pair[1].ours, pair[1].stock))
        return "" if ours == stock else f"{name}\n  ours:  {ours[:900]!r}\n  stock: {stock[:900]!r}"

    with ThreadPoolExecutor(4) as pool:
        different = [found for found in pool.map(both, WIRES) if found]
    assert not different, "\n".join(different)


@pytest.mark.integration
@pytest.mark.parametrize("pair", ["scalars"], indirect=True, scope="module")
@pytest.mark.parametrize("kind", ["length", "chunks", "turns"])
def test_a_request_cut_at_any_byte(pair: tuple[str, Pair], kind: str) -> None:
    """Two packets, wherever the first one ends; also byte by byte."""
    ask = request("/add", ONE, close=False)
    whole = {
        "length": ask + request("/add", b'{"a":2}'),
        "chunks": ask + chunked("/add", b'{"a', b'":2}'),
        "turns": ask + WIRES["turns: of many kinds"],
    }[kind]
    expected = _answer(pair[1].stock, whole)

    def cut(at: int) -> bytes:
        return _answer(pair[1].ours, whole[:at], whole[at:])

    with ThreadPoolExecutor(4) as pool:
        wrong = [at for at, found in enumerate(pool.map(cut, range(1, len(whole))), 1) if found != expected]
    assert not wrong, f"cut at {wrong}"
    assert _answer(pair[1].ours, *(bytes([byte]) for byte in whole)) == expected


@pytest.mark.integration
@pytest.mark.parametrize("pair", ["scalars"], indirect=True, scope="module")
def test_whole_requests_before_what_is_no_http_are_answered(pair: tuple[str, Pair]) -> None:
    """`bentoml serve` forgets them when both come in one packet."""
    whole = request("/add", ONE, close=False) * 2 + b"\x00\x01\x02garbage\r\n\r\n"
    assert statuses(exchange(pair[1].ours, whole)) == [200, 200, 400]
