"""The one door to endpoints: Envoy, configured from the state of the box and nothing else."""

from boxplat.releases.gateway.applied import Applied, Door, applied, drained
from boxplat.releases.gateway.service import service

__all__ = ["Applied", "Door", "applied", "drained", "service"]
