"""Ask an endpoint, over HTTP and with the standard library only: a prediction must not wait for BentoML's import."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import State
from boxplat.core.paths import Paths
from boxplat.core.replicas import Replica
from boxplat.core.state import StateStore
from boxplat.releases.endpoints import endpoints, replicas_of
from boxplat.releases.keys import headers


@dataclass(frozen=True)
class Asked:
    """An endpoint that is asked: where, how it is, and the log of the release that most likely answers.

    `headers` are those that the gateway wants to see from the box itself.
    """

    name: str
    url: str
    state: State
    log: str
    headers: Mapping[str, str]


def predict(
    state: StateStore,
    paths: Paths,
    config: Config,
    name: str,
    data: Any,
    timeout: float = 60.0,
    route: str | None = None,
) -> Any:
    """Post a request to an endpoint and return its decoded answer.

    Args:
        data: the request's JSON, as text or as an object.
        timeout: seconds to wait for the answer.
        route: name of the API of the service, where it has several (else its only one, or the one called `predict`).

    Raises:
        BoxError: no JSON, or a request that the service refuses (exit code 2, with its message); unknown endpoint or
            route (9); the endpoint does not run (3, or 1 if it failed); no answer in time (6); the service broke (1).
    """
    body = _body(data)
    status = _endpoint(state, paths, config, name)
    path = _route(status, route, timeout)
    return _exchange(status, path, body, timeout)


def _body(data: Any) -> bytes:
    try:
        value = json.loads(data) if isinstance(data, str | bytes) else data
        return json.dumps(value, allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise BoxError(
            "the request is no JSON",
            why=str(error),
            fix="""give JSON, @file or -, for example: box predict NAME '{"rows": [1, 2]}'""",
            code=ExitCode.USAGE,
        ) from error


def _endpoint(state: StateStore, paths: Paths, config: Config, name: str) -> Asked:
    rows = state.services.all()
    known = {found.name: found for found in endpoints(config.endpoints, state, rows)}
    if name not in known:
        raise not_found("endpoint", name, known, "box endpoints")
    found = known[name]
    if not found.traffic:
        raise _down(name, "it was never deployed, or undeployed", f"box deploy {name}")
    log = str(paths.service_log(Replica(name, max(found.traffic)).name))
    if found.state is State.FAILED:
        why = found.reason or "its process could not be started"
        raise BoxError(f"endpoint {name} has failed", why=why, fix=f"box deploy {name}", log=log)
    if found.url is None or not any(row.desired for row in replicas_of(name, rows)):
        raise _down(name, f"its state is: {found.state.value}", f"box up --detach && box wait {name}")
    return Asked(name, found.url, found.state, log, headers(state, paths))


def _down(name: str, why: str, fix: str) -> BoxError:
    return BoxError(f"endpoint {name} does not run", why=why, fix=fix, code=ExitCode.NO_BOX)


def _route(status: Asked, wanted: str | None, timeout: float) -> str:
    """The path of the wanted API, as the service itself describes it."""
    schema = _exchange(status, "/schema.json", None, timeout)
    described = schema.get("routes", []) if isinstance(schema, dict) else []
    routes = {str(entry["name"]): str(entry["route"]) for entry in described}
    name = wanted or (next(iter(routes)) if len(routes) == 1 else "predict")
    if name not in routes:
        raise not_found("route", name, routes, f"name one of them; {status.url} describes them")
    return routes[name]


def _exchange(status: Asked, path: str, body: bytes | None, timeout: float) -> Any:
    """A good answer, decoded if it is JSON, else as text."""
    request = urllib.request.Request(
        f"{status.url}{path}", body, {"Content-Type": "application/json", **status.headers}
    )
    # Loopback: a proxy of the environment has no say.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as response:
            text = response.read().decode(errors="replace")
            return json.loads(text) if response.headers.get_content_type() == "application/json" else text
    except urllib.error.HTTPError as error:
        raise _refused(status, error.code, error.read()) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(status, error, timeout) from error


def _refused(status: Asked, code: int, content: bytes) -> BoxError:
    said = _message(content) or f"status {code}"
    if 400 <= code < 500:
        fix = f"correct the request; {status.url} describes what {status.name} takes"
        return BoxError(f"{status.name} refuses the request ({code})", why=said, fix=fix, code=ExitCode.USAGE)
    fix = f"box logs {status.name}"
    return BoxError(f"{status.name} could not answer ({code})", why=said, fix=fix, log=status.log)


def _message(content: bytes) -> str:
    """The words in an error answer: BentoML sends `{"error": …, "detail": …}`, sometimes inside a list."""
    text = content.decode(errors="replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        return text[:2000]
    found = found[0] if isinstance(found, list) and found else found
    if not isinstance(found, dict):
        return text[:2000]
    lines = [str(found.get("error", ""))]
    details = found.get("detail")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict):
            place = ".".join(str(part) for part in detail.get("loc", ()))
            lines.append(f"{place}: {detail.get('msg', '')}" if place else str(detail.get("msg", "")))
    return "\n".join(line for line in lines if line)[:2000] or text[:2000]


def _unreachable(status: Asked, error: Exception, timeout: float) -> BoxError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return BoxError(
            f"{status.name} gave no answer in {timeout:g} s",
            why=f"its state is: {status.state.value}",
            fix=f"box wait {status.name}   (or ask again with a longer time-out)",
            log=status.log,
            code=ExitCode.TIMED_OUT,
        )
    if isinstance(reason, ConnectionRefusedError):
        return _down(status.name, f"nobody listens at {status.url}", f"box up --detach && box wait {status.name}")
    why = str(reason) or type(reason).__name__
    return BoxError(f"{status.name} broke off", why=why, fix=f"box logs {status.name}", log=status.log)
