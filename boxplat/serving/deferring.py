"""Leaving parts of BentoML unimported until they are used: they are an eighth of the memory of a worker with torch.

The client of its cloud, the arbiter of `bentoml serve`, the proxy to a service's own command and the libraries of its
HTTP clients (httpx, rich, circus, zmq, aiohttp) are imported with the rest of BentoML, and hardly a worker needs one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PARTS = (
    "bentoml._internal.cloud",
    "bentoml._internal.utils.circus",
    "_bentoml_impl.server.proxy",
    "aiohttp",
    "httpx",
)


def import_bentoml() -> None:
    """Import BentoML's server without those parts; whoever imports one of them afterwards gets it."""
    with _deferred(_PARTS):
        import_module("_bentoml_impl.server.app")
        proxy = import_module("_bentoml_impl.client.proxy2")
    # Each service has a proxy of itself, which asks for the timeouts of aiohttp as it is made.
    proxy.SessionManager = partial(_Sessions, proxy.SessionManager)  # type: ignore[attr-defined]


class _Later:
    """Something in a module that is imported when it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def _found(self) -> Any:
        return getattr(import_module(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._found()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        # Generic types ask what is put into them for these.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._found(), name)

    def __instancecheck__(self, one: object) -> bool:
        return isinstance(one, self._found())


class _Empty(Loader, MetaPathFinder):
    """Finds modules of which everything comes later.

    Attributes:
        made: the names of those that were asked for.
        is_over: what asks them from now on is not being imported, and gets what it asks for.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.made: list[str] = []
        self.is_over = False

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if any(name == part or name.startswith(part + ".") for part in self._names):
            return ModuleSpec(name, self, is_package=True)
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        self.made.append(name)

        def later(attribute: str) -> Any:
            if self.is_over:
                return getattr(import_module(name), attribute)
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            return _Later(name, attribute)

        module.__getattr__ = later  # type: ignore[method-assign]


@contextmanager
def _deferred(names: Sequence[str]) -> Iterator[None]:
    empty = _Empty([name for name in names if name not in sys.modules])
    sys.meta_path.insert(0, empty)
    try:
        yield
    finally:
        sys.meta_path.remove(empty)
        empty.is_over = True
        for name in empty.made:
            del sys.modules[name]
            parent, _, own = name.rpartition(".")
            vars(sys.modules.get(parent, empty)).pop(own, None)


class _Sessions:
    """BentoML's sessions of a client, made when the first is asked for."""

    def __init__(self, kind: Any, /, *args: Any, **kwargs: Any) -> None:
        self._made = partial(kind, *args, **kwargs)

    @cached_property
    def _sessions(self) -> Any:
        return self._made()

    async def get_session(self) -> Any:
        """As `SessionManager.get_session`."""
        return await self._sessions.get_session()

    async def close(self) -> None:
        """As `SessionManager.close`."""
        if "_sessions" in vars(self):
            await self._sessions.close()
