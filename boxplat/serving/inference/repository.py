"""The models of a running service: its APIs, by name."""

from __future__ import annotations

from typing import Any

from boxplat.serving.endpoint import is_ready, path_of
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.model import Model

EXTENSIONS = ("binary_tensor_data", "generate", "model_configuration", "model_repository", "statistics")


class Repository:
    """What clients can ask of a service.

    Args:
        direct: the service's application (`boxplat.serving.direct.Direct`), after it has started.

    Attributes:
        models: by API; where a service has one API only, the service's name is another name of it.
        version: the Bento's, or 1 of a service that was never built.
    """

    def __init__(self, direct: Any) -> None:
        self.direct = direct
        service = direct.factory.service
        self.name: str = service.name
        self.version = str(service.bento.tag.version or 1) if service.bento is not None else "1"
        self._apis = {
            name: Model(direct, method, path_of(direct.factory, method)) for name, method in service.apis.items()
        }
        only = {self.name: next(iter(self._apis.values()))} if len(self._apis) == 1 else {}
        self.models = only | self._apis

    @property
    def names(self) -> list[str]:
        """Of the APIs."""
        return list(self._apis)

    def model(self, name: str, version: str = "") -> Model:
        """A model.

        Raises:
            InferenceError: status 404.
        """
        found = self.models.get(name)
        if found is None:
            raise InferenceError(f"Request for unknown model: '{name}' is not found", 404)
        if version not in ("", self.version):
            raise InferenceError(f"Request for unknown model: '{name}' version {version} is not found", 404)
        return found

    async def is_ready(self) -> bool:
        """As `/readyz` tells it."""
        return await is_ready(self.direct.factory)

    def metadata(self) -> dict[str, Any]:
        """Of the server."""
        from boxplat import __version__

        return {"name": self.name, "version": __version__, "extensions": list(EXTENSIONS)}

    async def index(self, only_ready: bool = False) -> list[dict[str, str]]:
        """The APIs with their states."""
        ready = await self.is_ready()
        if only_ready and not ready:
            return []
        state, reason = ("READY", "") if ready else ("UNAVAILABLE", "the service is not ready")
        return [{"name": name, "version": self.version, "state": state, "reason": reason} for name in self._apis]
