"""`infer` on the connection's short way, for APIs that have one; light until it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.serving.endpoint import Endpoint
from boxplat.serving.refusal import Reply

if TYPE_CHECKING:
    from boxplat.serving.inference.turn import Turn


@dataclass(frozen=True, kw_only=True)
class Opening(Endpoint):
    """An endpoint whose requests and answers are the protocol's.

    Attributes:
        turn: makes what answers one request; takes the length of the JSON at the beginning of its body, None: all.
    """

    turn: Callable[[int | None], Turn]

    def opened(self, head: Any) -> Endpoint:
        """What answers a request with this head."""
        turn = self.turn(head.inference)
        return Opening(
            name=self.name,
            path=self.path,
            method=self.method,
            caller=self.caller,
            read=turn.read,
            write=self.write,
            respond=turn.respond,
            replied=turn.replied,
            turn=self.turn,
        )

    def refused(self, error: BaseException) -> Reply:
        """The answer to a request that cannot be read, and where the function fails."""
        from boxplat.serving.inference.turn import refusal

        return refusal(error, self.name)


def of(endpoint: Endpoint, turn: Callable[[int | None], Turn]) -> Opening:
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
