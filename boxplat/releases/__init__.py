"""Endpoints and their releases: made, put live, taken back, called; and the registered models that they serve."""

from boxplat.releases.deployment import deploy, undeploy
from boxplat.releases.prediction import predict

__all__ = ["deploy", "predict", "undeploy"]
