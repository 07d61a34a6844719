"""The dashboard in a browser: one process of it for each page that is open, served by textual-serve.

Whoever can type here can do whatever the box can. So it listens on loopback only; each address begins with a random
token, which keeps out the other users of this machine; and the headers Host and Origin have to name this server, which
keeps out pages of other sites, also ones whose name was made to point here (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import secrets
import shlex
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from hmac import compare_digest
from pathlib import Path
from string import Template

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.typedefs import Handler
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from boxplat.core.errors import BoxError, ExitCode
from boxplat_tui.lines import clean

LOOPBACK = "127.0.0.1"
# Each page is a process of some 60 MB.
MOST_PAGES = 16
WIDEST, TALLEST = 1200, 400
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
_HUNG_SECONDS = 5.0


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
        self._open = 0

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
        first = request.path[1:].partition("/")[0]
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

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A dashboard for one page, until either of them ends."""
        width, height = (to_int(request.query.get(side, "80"), 80) for side in ("width", "height"))
        if not (0 < width <= WIDEST and 0 < height <= TALLEST):
            raise web.HTTPBadRequest(text="No terminal is of this size.\n")
        if self._open >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open; close one.\n")
        self._open += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self._open -= 1

    async def _process_messages(self, websocket: web.WebSocketResponse, app_service: AppService) -> None:
        self._pages.add(websocket)
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    async with asyncio.timeout(_HUNG_SECONDS):
                        await _obey(message.data, websocket, app_service)
        except TimeoutError:
            await websocket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        finally:
            self._pages.discard(websocket)
            await _end(app_service)

    async def on_shutdown(self, app: web.Application) -> None:
        """Close every page, which ends its dashboard."""
        for page in tuple(self._pages):
            await page.close(code=WSCloseCode.GOING_AWAY)


async def _obey(text: str, websocket: web.WebSocketResponse, app_service: AppService) -> None:
    """Do what a page asks for; what is none of its messages is left alone."""
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return
    match asked:
        case ["stdin", str(typed)]:
            await app_service.send_bytes(typed.encode("utf-8", "replace"))
        case ["resize", {"width": int(width), "height": int(height)}]:
            await app_service.set_terminal_size(min(max(width, 1), WIDEST), min(max(height, 1), TALLEST))
        case ["ping", data]:
            await websocket.send_json(["pong", data])
        case ["blur", *_]:
            await app_service.blur()
        case ["focus", *_]:
            await app_service.focus()


async def _end(app_service: AppService) -> None:
    """Ask the dashboard to end, and end it where it does not: it may hang, or have much to read first."""
    process = app_service._process
    with suppress(TimeoutError):
        async with asyncio.timeout(_HUNG_SECONDS):
            await app_service.stop()
    if process is not None:
        # Its own time limit: `stop` takes the one above for an ordinary end.
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 1.0)
        if process.returncode is None:
            process.kill()


def _brief(record: logging.LogRecord) -> bool:
    """One clean line for what went wrong with a request, whoever sent it and whatever it was."""
    error = record.exc_info[1] if record.exc_info else None
    record.msg = clean(f"{record.getMessage()}{f' ({type(error).__name__})' if error else ''}", 300)
    record.args, record.exc_info = (), None
    return True


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
        for name in ("aiohttp.server", "textual-serve"):
            logging.getLogger(name).addFilter(_brief)
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
