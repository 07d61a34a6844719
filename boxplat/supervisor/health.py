"""Is it ready? One HTTP request on loopback, in a thread, so that a server that hangs holds up nobody else."""

from __future__ import annotations

import http.client
from concurrent.futures import Future, ThreadPoolExecutor


def probe(port: int, path: str, seconds: float) -> str:
    """Why the server is not healthy; an empty text when it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        status = connection.getresponse().status
        return "" if status < 400 else f"{path} answered {status}"
    except TimeoutError:
        return f"{path} gave no answer in {seconds:g} s"
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: {error or type(error).__name__}"
    finally:
        connection.close()


class Probes:
    """Health checks under way, one per service at most."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
        self._running: dict[str, Future[str]] = {}

    def start(self, name: str, port: int, path: str, seconds: float) -> None:
        self._running[name] = self._pool.submit(probe, port, path, seconds)

    def running(self, name: str) -> bool:
        return name in self._running

    def result(self, name: str) -> str | None:
        """The finished check's finding, once; None while there is none."""
        future = self._running.get(name)
        if future is None or not future.done():
            return None
        del self._running[name]
        return future.result()

    def forget(self, name: str) -> None:
        """Drop a check of a process that is gone."""
        self._running.pop(name, None)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
