"""The door to the API server: busy servers, cut lines, long lists, and what must not be asked twice."""

from __future__ import annotations

import pytest

from boxplat.adapters import cluster as door
from boxplat.adapters.cluster import Cluster, Kind, Refusal
from boxplat.adapters.cluster_access import connect
from tests.export.lift.apiserver import ApiServer, Refused

NODES = Kind("v1", "Node", "nodes", namespaced=False)
WORKFLOWS = Kind("argoproj.io/v1alpha1", "Workflow", "workflows", namespaced=True)
BUSY = Refused(429, "TooManyRequests", "the server has received too many requests and has asked us to try again later")


@pytest.fixture
def client(cluster: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(door, "_PAUSES", (0.0, 0.0))
    return connect()


def failing(server: ApiServer, times: int, error: Exception) -> list[str]:
    """The next requests fail; returns the list of those that were made."""
    made: list[str] = []

    def before(method: str, path: str) -> None:
        made.append(f"{method} {path}")
        if len(made) <= times:
            raise error

    server.before = before
    return made


def test_a_busy_server_is_asked_again(cluster: ApiServer, client: Cluster) -> None:
    made = failing(cluster, 2, BUSY)
    assert client.version() == (1, 36)
    assert len(made) == 3


def test_a_server_that_stays_busy_is_given_up(cluster: ApiServer, client: Cluster) -> None:
    made = failing(cluster, 9, BUSY)
    with pytest.raises(Refusal, match="too many requests") as refused:
        client.version()
    assert (refused.value.code, refused.value.reason, len(made)) == (429, "TooManyRequests", 3)


def test_a_line_that_is_cut_is_taken_up_again(cluster: ApiServer, client: Cluster) -> None:
    made = failing(cluster, 1, ConnectionAbortedError("cut"))
    assert client.version() == (1, 36)
    assert len(made) >= 2


def test_a_creation_is_not_repeated(cluster: ApiServer, client: Cluster) -> None:
    """The answer was lost, but the workflow may run."""
    made = failing(cluster, 1, BUSY)
    document = {"metadata": {"generateName": "w-", "namespace": "shop"}, "spec": {}}
    with pytest.raises(Refusal):
        client.create(WORKFLOWS, document)
    assert len(made) == 1


def test_a_creation_whose_line_is_cut_is_not_repeated(cluster: ApiServer, client: Cluster) -> None:
    made = failing(cluster, 9, ConnectionAbortedError("cut"))
    with pytest.raises(Exception, match="does not answer"):
        client.create(WORKFLOWS, {"metadata": {"generateName": "w-", "namespace": "shop"}, "spec": {}})
    assert len(made) == 1


def test_a_long_list_is_read_to_its_end(cluster: ApiServer, client: Cluster) -> None:
    for number in range(10):
        cluster.put("Node", f"more-{number}")
    assert len(list(client.list(NODES))) == 11
    assert [query.get("continue") for _, path, query in cluster.asked if path.endswith("nodes")] == [
        None,
        "3",
        "6",
        "9",
    ]


def test_what_is_no_status_is_shown_as_it_came(cluster: ApiServer, client: Cluster) -> None:
    """A proxy between here and there answers in HTML."""
    refusal = Refused(403, "", "")
    refusal.status = "<html>Forbidden by proxy</html>"
    failing(cluster, 1, refusal)
    with pytest.raises(Refusal, match="Forbidden by proxy") as refused:
        client.version()
    assert refused.value.code == 403
