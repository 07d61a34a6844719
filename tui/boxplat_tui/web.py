"""The dashboard in a browser: one process of it for each page that is open, served by textual-serve.

Whoever can type here can do whatever the box can. So it listens on loopback only; each address begins with a random
token, which keeps out the other users of this machine; and the headers Host and Origin have to name this server, which
keeps out pages of other sites, also ones whose name was made to point here (DNS rebinding).
"""

from __future__ import annotations

import html
import secrets
import shlex
import socket
import sys
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from string import Template

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from boxplat.core.errors import BoxError, ExitCode

LOOPBACK = "127.0.0.1"
_PAGE = Path(__file__).with_name("web.html")
_HEADERS = {
    # xterm.js sets styles of its own; nothing is fetched from elsewhere, and no other page may show this one.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' {nonce}; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    # The address holds the token.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_SHUTDOWN_SECONDS = 3.0


class Dashboards(Server):
    """Serves the dashboard of one project.

    Args:
        command: starts a dashboard, for a shell.
        port: where it listens.
        title: of the page.
    """

    def __init__(self, command: str, port: int, title: str) -> None:
        super().__init__(command, host=LOOPBACK, port=port, title=title)
        self.token = secrets.token_urlsafe(24)
        self._hosts = (f"{LOOPBACK}:{port}", f"localhost:{port}")
        self._pages: set[web.WebSocketResponse] = set()

    @property
    def address(self) -> str:
        """What to open in a browser. It is a secret."""
        return f"{self.public_url}/{self.token}/"

    def application(self) -> web.Application:
        """The page, its files, and a dashboard for each page."""
        app = web.Application(middlewares=[self._guard])
        base = f"/{self.token}"
        app.add_routes(
            [
                web.get(f"{base}/", self.handle_index),
                web.get(f"{base}/ws", self.handle_websocket),
                web.static(f"{base}/static", self.statics_path),
                # Its script asks for a file at the root, by a key that is random too and lasts for one download.
                web.get("/download/{key}", self.handle_download),
            ]
        )
        app.on_response_prepare.append(self._head)
        app.on_shutdown.append(self.on_shutdown)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        first = request.path.split("/")[1]
        origin = request.headers.get("Origin")
        allowed = [f"http://{host}" for host in self._hosts]
        if request.headers.get("Host") not in self._hosts:
            raise web.HTTPForbidden(text="This server answers under its own name only.\n")
        if origin not in allowed and (origin is not None or request.path.endswith("/ws")):
            raise web.HTTPForbidden(text="This server answers its own pages only.\n")
        if first != "download" and not compare_digest(first.encode(), self.token.encode()):
            raise web.HTTPForbidden(text="Open the whole address that `box tui --web` has printed.\n")
        return await handler(request)

    async def _head(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in _HEADERS.items():
            response.headers[name] = value.format(host=request.host, nonce=request.get("nonce", ""))

    async def handle_index(self, request: web.Request) -> web.Response:
        """The page: a terminal and nothing else."""
        base = f"{request.host}/{self.token}"
        nonce = secrets.token_urlsafe(16)
        request["nonce"] = f"'nonce-{nonce}'"
        size = min(max(to_int(request.query.get("fontsize", "16"), 16), 6), 60)
        page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
            title=html.escape(self.title),
            base=f"/{self.token}",
            websocket=f"ws://{base}/ws",
            font_size=size,
            nonce=nonce,
        )
        return web.Response(text=page, content_type="text/html")

    async def _process_messages(self, websocket: web.WebSocketResponse, app_service: AppService) -> None:
        self._pages.add(websocket)
        try:
            await super()._process_messages(websocket, app_service)
        finally:
            self._pages.discard(websocket)

    async def on_shutdown(self, app: web.Application) -> None:
        """Close every page, which ends its dashboard."""
        for page in tuple(self._pages):
            await page.close(code=WSCloseCode.GOING_AWAY)


def serve(root: Path, title: str, port: int, options: tuple[str, ...], told: Callable[[str], None]) -> None:
    """Serve the dashboard of the project at `root` until interrupted.

    Args:
        port: where to listen; 0 for any that is free.
        options: of each dashboard: `--readonly`, `--ascii`.
        told: hears the address, which is a secret.

    Raises:
        BoxError: the port is taken (exit code 4).
    """
    with _listen(port) as sock:
        argv = [sys.executable, "-m", "boxplat", "--project", str(root), "tui", *options]
        server = Dashboards(f"exec {shlex.join(argv)}", sock.getsockname()[1], title)
        told(server.address)
        web.run_app(
            server.application(),
            sock=sock,
            access_log=None,
            print=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise BoxError(
            f"port {port} cannot be had on {LOOPBACK}",
            why=error.strerror or str(error),
            fix="box tui --web   (without --port it takes one that is free)",
            code=ExitCode.PRECONDITION,
        ) from error
