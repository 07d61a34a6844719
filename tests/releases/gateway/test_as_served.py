"""boxplat's own server, asked directly and through the gateway: the same answers, byte for byte."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tests.releases.gateway.conftest import Place, until
from tests.serving.cases import CASES
from tests.serving.conftest import SERVICES, Answered, ask, worker

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("service", ["arrays", "files", "streaming", "texts"])
def test_an_answer_is_the_same_through_the_gateway(
    place: Place, service: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = SERVICES / service
    entry = re.findall(r"^class (\w+)", (folder / "service.py").read_text(), re.MULTILINE)[-1]
    with worker(folder, f"service:{entry}", tmp_path_factory.mktemp(service) / "worker") as (direct, _):
        name = place.endpoint({1: []}, {1: 100})
        place.replicas(name, 1, [urlsplit(direct).port or 0])
        until(lambda: place.applied.endpoints[name].targets.get(1), "the process is known")
        through = f"http://127.0.0.1:{place.port(name)}"
        for case in CASES[service]:
            wanted, found = ask(direct, case), ask(through, case)
            assert (found.status, found.kind, found.body) == (wanted.status, wanted.kind, wanted.body), str(case)
            assert _heads(found) == _heads(wanted), str(case)


def _heads(answer: Answered) -> list[tuple[str, str]]:
    """Without the gateway's own, and without what holds for one connection only (RFC 9110, 7.6.1)."""
    return sorted((key, value) for key, value in answer.heads if key.lower() not in ("x-request-id", "connection"))
