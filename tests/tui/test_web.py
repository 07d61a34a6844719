"""The dashboard in a browser: served to its own pages only, and drawn and steered there for real."""

from __future__ import annotations

import asyncio
import http.client
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from boxplat_tui import web
from tests.tui.browser import browsing, found

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


class Served:
    """A running `box tui --web`."""

    def __init__(self, root: Path) -> None:
        argv = [sys.executable, "-m", "boxplat", "--project", str(root), "tui", "--web"]
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.host = urlsplit(self.address).netloc
        self.path = urlsplit(self.address).path

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text; an underscore in the name of a header stands for a hyphen."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest("GET", path, skip_host="Host" in named)
        for name, value in named.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace") if answer.status != 101 else ""
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    @property
    def dashboards(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def words_of(process: psutil.Process) -> list[str]:
    """What it was started with; nothing once it is over, as what a dashboard reads by is soon."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("web")
    (root / "boxplat.toml").write_text('[project]\nname = "webbed"\n')
    server = Served(root)
    yield server
    server.process.kill()
    server.process.wait()


def test_the_page_needs_the_token(served: Served) -> None:
    assert served.ask(served.path)[0] == 200
    for path in ("/", "/static/js/textual.js", "/ws", f"{served.path[:-2]}x/", "/download", "//", served.path[:-1]):
        assert served.ask(path)[0] in (403, 404), path
    assert served.ask("/download/unknown")[0] == 404


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_pages_of_other_sites_get_no_dashboard(served: Served, headers: dict[str, str]) -> None:
    assert served.ask(f"{served.path}ws", **UPGRADE, **headers)[0] == 403
    if headers:
        assert served.ask(served.path, **headers)[0] == 403
    assert served.dashboards == []


def test_nonsense_is_refused_and_told_in_a_line(served: Served) -> None:
    connection = http.client.HTTPConnection(served.host, timeout=60)
    connection.request("OPTIONS", "*")
    assert connection.getresponse().status == 403
    connection.close()
    mine = {**UPGRADE, "Origin": f"http://{served.host}"}
    for size in ("width=100000000", "height=-1"):
        assert served.ask(f"{served.path}ws?{size}", **mine)[0] == 400
    assert served.dashboards == []


async def test_a_dashboard_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unheard(_: object) -> None:
        return None

    async def close() -> None:
        return None

    monkeypatch.setattr(web, "_HUNG_SECONDS", 0.1)
    service = AppService(
        "exec sleep 60", write_bytes=unheard, write_str=unheard, close=close, download_manager=DownloadManager()
    )
    await service.start(80, 24)
    process = service._process
    assert process is not None
    await web._end(service)
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL


async def test_only_messages_of_the_page_are_obeyed() -> None:
    class Heard:
        def __init__(self) -> None:
            self.told: list[object] = []

        async def send_bytes(self, data: bytes) -> None:
            self.told.append(data)

        async def set_terminal_size(self, *size: int) -> None:
            self.told.append(size)

    heard: Any = Heard()
    for text in ("{nope", "[" * 100_000, "[]", '{"a": 1}', '["stdin", 5]', '["resize", {"width": "x", "height": 2}]'):
        await web._obey(text, heard, heard)
    assert heard.told == []
    for text in ('["stdin", "a\\ud800"]', '["resize", {"width": 100000000, "height": -5}]'):
        await web._obey(text, heard, heard)
    assert heard.told == [b"a?", (web.WIDEST, 1)]


def test_the_page_brings_everything_itself_and_keeps_its_address(served: Served) -> None:
    _, headers, text = served.ask(served.path)
    assert "https://" not in text and text.count("http://") == 0
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
    assert served.ask("/nothing")[1]["Referrer-Policy"] == "no-referrer"


def test_only_this_machine_can_reach_it(served: Served) -> None:
    listening = [one for one in psutil.Process(served.process.pid).net_connections() if one.status == "LISTEN"]
    assert [one.laddr.ip for one in listening] == ["127.0.0.1"]


def colours(picture: bytes) -> int:
    """How many different ones there are."""
    from PIL import Image

    seen = Image.open(io.BytesIO(picture)).convert("RGB")
    return len(seen.getcolors(seen.width * seen.height) or ())


@pytest.mark.skipif(found() is None, reason="no Chromium here: apt-get install chromium-headless-shell")
async def test_a_browser_draws_it_and_types_into_it(served: Served, tmp_path: Path) -> None:
    async with browsing(tmp_path, served.address) as page:
        await page.until(lambda: "webbed" in page.heard and "box up --detach" in page.heard, "the overview")
        await page.press("8")
        await page.until(lambda: "Nothing has happened yet" in page.heard, "the events")
        # Text, in several colours, and not one plain surface. What was heard is drawn a little later.
        async with asyncio.timeout(60):
            while colours(await page.picture()) <= 50:
                await asyncio.sleep(0.1)
        (dashboard,) = [one for one in served.dashboards if "tui" in words_of(one)]
        assert {urlsplit(url).netloc for url in page.asked if not url.startswith("data:")} == {served.host}
        assert page.errors == []
    psutil.wait_procs([dashboard], timeout=60)
    assert not dashboard.is_running()


def test_ending_it_ends_its_dashboards(served: Served) -> None:
    """The last test of this file: it takes the server down."""
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(60) == 0
    assert served.process.stderr is not None and "Traceback" not in served.process.stderr.read()


def test_a_port_that_is_taken_is_an_error_with_a_fix(tmp_path: Path) -> None:
    import socket

    (tmp_path / "boxplat.toml").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        argv = [sys.executable, "-m", "boxplat", "--project", str(tmp_path), "tui", "--web", "--port", port]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "box tui --web" in done.stderr and done.stdout == ""
