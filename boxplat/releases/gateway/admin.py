"""Envoy's administration, over its Unix socket: which configuration it has taken, and what is in flight."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from boxplat.releases.gateway.render import ADMIN

# Who ends the gateway asks once: a shorter wait would cut off what a busy Envoy is answering.
_SECONDS = 10.0
_VERSION = re.compile(r'^(.+)\.version_text: "(.*)"$', re.MULTILINE)
_NUMBER = re.compile(r"^(\S+): ([0-9]+)$", re.MULTILINE)


class _Connection(http.client.HTTPConnection):
    def __init__(self, folder: Path) -> None:
        super().__init__("gateway", timeout=_SECONDS)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        # A socket's path has room for 107 bytes; a project may lie deeper.
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{ADMIN}")
        finally:
            os.close(folder)


class Admin:
    """The administration of the Envoy that runs in a folder.

    Raises:
        OSError: nobody listens there, from every method.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def versions(self) -> dict[str, str]:
        """Versions of the configuration files that are in use, by the name of what reads them."""
        return dict(_VERSION.findall(self._ask("GET", "/stats?type=TextReadouts&filter=version_text")))

    def numbers(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match a regular expression."""
        found = _NUMBER.findall(self._ask("GET", f"/stats?filter={pattern}"))
        return {name: int(value) for name, value in found}

    def statistics(self, pattern: str) -> list[dict[str, Any]]:
        """What matches a regular expression: `name` and `value` of counters and gauges, and one with `histograms`."""
        said = self._ask("GET", f"/stats?format=json&histogram_buckets=detailed&filter={quote(pattern)}")
        try:
            found: list[dict[str, Any]] = json.loads(said)["stats"]
        except ValueError as error:
            raise ConnectionError(str(error)) from error
        return found

    def ready(self) -> bool:
        """Whether Envoy has its configuration and serves."""
        return self._ask("GET", "/ready").startswith("LIVE")

    def stop_listening(self) -> None:
        """Take no new connections, and have every answer say that its connection closes."""
        self._ask("POST", "/drain_listeners")

    def _ask(self, method: str, path: str) -> str:
        connection = _Connection(self._folder)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
