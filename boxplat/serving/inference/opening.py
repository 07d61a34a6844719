"""`infer` on the connection's short way, for APIs that have one; light until it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from boxplat.serving.endpoint import Endpoint

if TYPE_CHECKING:
    from boxplat.serving.http.plain import Head
    from boxplat.serving.inference.turn import Turn


@dataclass(frozen=True, kw_only=True)
class Opening(Endpoint):
    """An endpoint whose requests and answers are the protocol's.

    Attributes:
        turn: makes what answers one request of its head.
    """

    turn: Callable[[Head], Turn]

    def opened(self, head: Any) -> Endpoint:
        """What answers a request with this head."""
        # It has everything that a request asks of its endpoint; a new endpoint for each would cost more than the rest.
        return cast(Endpoint, self.turn(head))


def of(endpoint: Endpoint, turn: Callable[[Head], Turn]) -> Opening:
    """The protocol's form of an endpoint."""
    return Opening(
        name=endpoint.name,
        path=endpoint.path,
        method=endpoint.method,
        caller=endpoint.caller,
        read=endpoint.read,
        write=endpoint.write,
        respond=endpoint.respond,
        turn=turn,
    )
