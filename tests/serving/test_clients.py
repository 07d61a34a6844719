"""BentoML's own clients get the same from both servers: values, files, streams, tasks and errors."""

from __future__ import annotations

import asyncio
import json
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException
from PIL import Image

from tests.serving.cases import Case, form, posted
from tests.serving.conftest import Answered, Pair, ask

pytestmark = pytest.mark.integration


def _same(pair: Pair, tried: Callable[[bentoml.SyncHTTPClient], Any]) -> Any:
    """What a client finds at both servers, which has to be equal."""
    found = []
    for url in (pair.ours, pair.stock):
        with bentoml.SyncHTTPClient(url, timeout=20) as client:
            found.append(tried(client))
    np.testing.assert_equal(found[0], found[1])
    return found[0]


def _error(tried: Callable[[], Any]) -> tuple[str, int, str]:
    with pytest.raises(BentoMLException) as raised:
        tried()
    return type(raised.value).__name__, raised.value.error_code, str(raised.value)


@pytest.mark.parametrize("pair", ["validators"], indirect=True, scope="module")
def test_arrays(pair: tuple[str, Pair]) -> None:
    large = np.random.default_rng(0).normal(size=(1000, 1000))
    assert _same(pair[1], lambda client: client.double(large)).shape == (1000, 1000)
    assert _same(pair[1], lambda client: client.flags(np.array([True, False]))).tolist() == [False, True]
    _same(pair[1], lambda client: client.frame([{"a": 1, "b": 2}]).to_dict())
    _same(pair[1], lambda client: client.kinds(x=[1, 2]))
    assert _same(pair[1], lambda client: _error(lambda: client.single("x")))[1] == 500


@pytest.mark.parametrize("pair", ["uploads"], indirect=True, scope="module")
def test_files(pair: tuple[str, Pair], tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abc")
    picture = tmp_path / "a.png"
    Image.new("RGB", (3, 2), "blue").save(picture)
    assert _same(pair[1], lambda client: client.sizes(files=[path, path])) == [3, 3]
    assert _same(pair[1], lambda client: client.whole(path)) == 3
    assert _same(pair[1], lambda client: client.described(image=picture, about={"title": "t"}))["size"] == [3, 2]
    assert _same(pair[1], lambda client: client.drawn(width=4).size) == (4, 1)
    assert _same(pair[1], lambda client: Path(client.written(name="a.csv")).read_text()) == "x" * 100


@pytest.mark.parametrize("pair", ["generators"], indirect=True, scope="module")
def test_streams(pair: tuple[str, Pair]) -> None:
    assert _same(pair[1], lambda client: b"".join(client.pieces(n=3))) == b"\0\0\0\1\1\1\2\2\2"
    assert "".join(_same(pair[1], lambda client: list(client.unicode()))) == "\u00e9\U0001f600"
    _same(pair[1], lambda client: "".join(client.events(n=3)))

    async def both() -> list[bytes]:
        found = []
        for url in (pair[1].ours, pair[1].stock):
            async with bentoml.AsyncHTTPClient(url) as client:
                found.append(b"".join([part async for part in client.pieces(n=50)]))
        return found

    ours, stock = asyncio.run(both())
    assert ours == stock


@pytest.mark.parametrize("pair", ["queued"], indirect=True, scope="module")
def test_tasks(pair: tuple[str, Pair]) -> None:
    """By HTTP: BentoML's client of this version cannot submit a task."""
    file = form("/of/a/file/submit", {"file": ("a", "text/plain", b"12345")})
    submitted = [
        *posted("/doubled/submit", {"x": [[1, 2]]}, {"x": [[1], "a"]}),
        *posted("/fails/submit", {"how": "no"}),
        Case("/text/submit", b"abc", {"content-type": "text/plain"}),
        file,
    ]
    found = [[_lived(url, case) for case in submitted] for url in (pair[1].ours, pair[1].stock)]
    assert found[0] == found[1]
    assert [ended for ended, *_ in found[0]] == ["completed", "failed", "failed", "completed", "completed"]


def _lived(url: str, case: Case) -> list[Any]:
    """A task from its submission to its end, done again and cancelled too late."""
    task = f"task_id={json.loads(ask(url, case).body)['task_id']}"
    path = case.path.removesuffix("/submit")

    def asked(verb: str, method: str, which: str) -> Answered:
        return ask(url, Case(f"{path}/{verb}?{which}", None, {}, method))

    def ended(which: str) -> str:
        idle, other = socket.socketpair()
        with idle, other:
            while (status := json.loads(asked("status", "GET", which).body)["status"]) == "in_progress":
                select.select([idle], [], [], 0.05)
        return str(status)

    first = [ended(task), asked("get", "GET", task)]
    again = f"task_id={json.loads(asked('retry', 'POST', task).body)['task_id']}"
    return [*first, ended(again), asked("get", "GET", again), asked("cancel", "PUT", task)]
