"""A real browser without a window, steered over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0


def found() -> str | None:
    """The program of a browser on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page: what it asked for, what its web sockets brought, and what went wrong on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.heard = ""
        self._socket = socket
        self._session = ""
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Take what the browser says until it ends."""
        async for message in self._socket:
            said = message.json()
            if (number := said.get("id")) in self._waiting:
                self._waiting.pop(number).set_result(said)
            else:
                self._note(said.get("method", ""), said.get("params", {}))

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(said["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.asked.append(said["url"])
        elif method == "Network.webSocketFrameReceived" and said["response"]["opcode"] == 2:
            self.heard += base64.b64decode(said["response"]["payloadData"]).decode("utf-8", "replace")
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(said["exceptionDetails"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(str(said["entry"]["text"]))

    async def do(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        where = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": number, "method": method, "params": params, **where})
        said = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in said, said
        return dict(said["result"])

    async def open(self, address: str) -> None:
        target = (await self.do("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.do("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for part in ("Network", "Page", "Runtime", "Log"):
            await self.do(f"{part}.enable")
        await self.do("Page.navigate", url=address)

    async def press(self, key: str) -> None:
        """A key that types one character."""
        code = {"windowsVirtualKeyCode": ord(key.upper())}
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key, text=key, **code)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    async def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode((await self.do("Page.captureScreenshot", format="png"))["data"])

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the page says."""
        for _ in range(round(PATIENCE / 0.05)):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not within {PATIENCE:.0f} s: {what}; heard {self.heard[-2000:]!r}, {self.errors}")


@asynccontextmanager
async def browsing(folder: Path, address: str) -> AsyncIterator[Page]:
    """A page of a browser whose profile lies in `folder`."""
    program = found()
    assert program is not None
    argv = [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    argv += ["--disable-dev-shm-usage", "--window-size=1280,800", f"--user-data-dir={folder}", "about:blank"]
    # What is installed may be a script that starts the browser: both are ended, as a group.
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(await _door(folder), max_msg_size=0) as socket,
        ):
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            await page.open(address)
            yield page
            with suppress(TimeoutError, ConnectionError):
                await page.do("Page.close")
            listening.cancel()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


async def _door(folder: Path) -> str:
    """The address of the browser's protocol, which it writes to a file."""
    file = folder / "DevToolsActivePort"
    for _ in range(round(PATIENCE / 0.05)):
        if file.is_file() and len(lines := file.read_text().split()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not come up")
