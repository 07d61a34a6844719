"""What the gateway reads from the state of the box."""

from __future__ import annotations

from pathlib import Path

from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.gateway.collect import routes
from boxplat.supervisor.sockets import listen


def test_an_endpoint_whose_ports_are_all_taken_does_not_keep_the_others_from_serving(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.create()
    state = StateStore.open(paths)
    for name, port in (("full", 65535), ("other", 0)):
        state.releases.add(name, "bento", None, None, None, "env", "test")
        state.releases.split(name, {1: 100}, "test")
        state.endpoints.settle(name, {"port": port})
    with listen(65535):
        found = {route.endpoint: route.port for route in routes(state, 1, ())}
    assert 0 < found["full"] < 65535 and found["other"] not in (0, found["full"])
