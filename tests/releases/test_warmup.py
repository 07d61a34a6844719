"""A new release is asked what was answered before, and is held to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxplat.releases.recorded import choose
from boxplat.releases.warmup import warm
from tests.releases.conftest import ask as post
from tests.serving.conftest import worker
from tests.serving.log.logs import ask, journal, rows

HERE = Path(__file__).with_name("warmed")
SCHEMA = {"routes": [{"name": "predict", "route": "/go", "input": {"type": "object", "properties": {"value": {}}}}]}
TENSOR = {"name": "value", "datatype": "INT64", "shape": [1], "data": [1]}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return tmp_path / "log"


def record(folder: Path, *bodies: bytes, status: int = 200, api: str = "predict") -> None:
    """Answered requests, numbered from 1; the later ones are newer."""
    log = journal(folder)
    for number, body in enumerate(bodies, start=1):
        ask(log, number, body, status=status)
    log.flush()
    log.stop()


def value(number: int) -> bytes:
    return json.dumps({"value": number}).encode()


def chosen(folder: Path, most: int = 100, most_bytes: int = 10**6) -> list[tuple[str, bytes]]:
    return [(request.path, request.body) for request in choose(folder, SCHEMA, most, most_bytes).requests]


def test_the_newest_distinct_ones_that_were_answered_are_chosen(recorded: Path) -> None:
    record(recorded, value(9), status=500)
    record(recorded, value(1), value(2), value(1), value(3), value(3))
    assert chosen(recorded) == [("/go", value(3)), ("/go", value(1)), ("/go", value(2))]
    assert chosen(recorded, most=2) == [("/go", value(3)), ("/go", value(1))]
    assert chosen(recorded, most_bytes=2 * len(value(1)) + 1) == [("/go", value(3)), ("/go", value(1))]


def test_what_cannot_be_sent_again_is_counted_and_left_out(recorded: Path) -> None:
    long, picture = b'"' + b"x" * 70_000 + b'"', b"\xff\xd8\xff"
    record(recorded, b"data:application/octet-stream;base64,AA", long, picture, value(1))
    found = choose(recorded, SCHEMA, 10, 10**6)
    assert [request.body for request in found.requests] == [value(1)]
    assert found.unsent == 1


def test_tensors_go_to_the_inference_protocol(recorded: Path) -> None:
    body = json.dumps({"inputs": [TENSOR]}).encode()
    record(recorded, body)
    assert chosen(recorded) == [("/v2/models/predict/infer", body)]


def test_nobody_listens(recorded: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = warm(f"http://127.0.0.1:{free.getsockname()[1]}", recorded)
    assert "gave no answer" in found.failure and found.sent == 0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A release and the folder of its log, which was there before it."""
    scratch = tmp_path_factory.mktemp("warmed")
    log = scratch / "predictions"
    with worker(HERE, "service:Warmed", scratch / "own", "--log", str(log)) as (url, _):
        yield url, log


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another release of it, which refuses more."""
    scratch = tmp_path_factory.mktemp("strict")
    with worker(HERE, "service:Warmed", scratch / "own", LARGEST="10") as (url, _):
        yield url


@pytest.mark.integration
def test_warm_ups_are_answered_and_not_logged(started: tuple[str, Path]) -> None:
    url, log = started
    for number in range(5):
        assert post(f"{url}/one", value(number))[0] == 200
    infer = json.dumps({"inputs": [TENSOR]}).encode()
    assert post(f"{url}/v2/models/one/infer", infer)[0] == 200
    assert post(f"{url}/one", value(-1))[0] == 400
    before = _until_logged(log, 7)
    found = warm(url, log)
    assert (found.source, found.sent, found.answered, found.failure) == ("recorded", 6, 6, "")
    assert found.first_ms > 0 and found.p99_ms >= found.median_ms > 0
    assert "6 of 6 recorded requests answered" in str(found)
    # One more that is logged comes after all that were not.
    post(f"{url}/one", value(77))
    after = _until_logged(log, 8)
    assert [row["id"] for row in after[:-1]] == [row["id"] for row in before]
    assert json.loads(after[-1]["keys"]) == {"value": 77}


@pytest.mark.integration
def test_one_that_breaks_fails_and_says_which_but_not_what(started: tuple[str, Path], recorded: Path) -> None:
    body = b'{"value": 500}'
    log = journal(recorded)
    log.note("given-id", 1, 1, "one", 200, 1, body, b"", None)
    log.flush()
    log.stop()
    found = warm(started[0], recorded)
    assert found.failed == 1
    assert "given-id" in found.failure and "500 now" in found.failure and "value" not in found.failure


@pytest.mark.integration
def test_a_service_may_be_late_with_its_very_first_answer(started: tuple[str, Path], recorded: Path) -> None:
    log = journal(recorded)
    log.note("first", 1, 1, "cold", 200, 1, value(2), b"", None)
    log.flush()
    log.stop()
    found = warm(started[0], recorded)
    assert (found.sent, found.answered, found.failure) == (1, 1, "")


@pytest.mark.integration
def test_refusing_what_was_answered_fails_unless_the_live_one_refuses_it_too(
    started: tuple[str, Path], strict: str, recorded: Path
) -> None:
    log = journal(recorded)
    for number, body in enumerate((value(3), value(44)), start=1):
        log.note(number, number * 10**9, 1, "one", 200, 1, body, b"", None)
    log.flush()
    log.stop()
    alone, pardoned = warm(strict, recorded), warm(strict, recorded, live=strict)
    against = warm(strict, recorded, live=started[0])
    assert (alone.answered, alone.failed) == (against.answered, against.failed) == (1, 1)
    assert f"{2:016x}" in alone.failure and "400 now" in alone.failure
    assert (pardoned.answered, pardoned.refused, pardoned.failure) == (1, 1, "")


@pytest.mark.integration
def test_without_a_record_the_examples_of_the_schema_are_asked(started: tuple[str, Path], recorded: Path) -> None:
    found = warm(started[0], recorded)
    assert (found.source, found.sent, found.answered, found.failure) == ("example", 1, 1, "")


def _until_logged(folder: Path, count: int) -> list[dict[str, object]]:
    from tests.releases.conftest import until

    return until(f"{count} rows", lambda: found if len(found := rows(folder)) >= count else None)
