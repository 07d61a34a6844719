"""Requests for a release's warm-up: recorded ones, or the service's own examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# How far back is looked at first: files that are older need not be read.
_SPANS = (timedelta(hours=1), timedelta(days=1), None)
# A log of requests that say the same is looked through so far for others.
_PER_DISTINCT = 20
# Whole JSON bodies of requests that were answered; what came to a release that was being warmed up is not logged.
_NEWEST = """
select id, api, input from requests
where status between 200 and 299 and strlen(input) = input_bytes and input_sha256 is null
order by time desc limit {limit}
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a JSON body, and where to. `id` is that of the recorded request; of an example its API's name."""

    id: str
    api: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Chosen:
    """`source`: recorded, example or none. `unsent`: recorded requests that are not JSON, and cannot be sent again."""

    source: str
    requests: tuple[Request, ...]
    unsent: int = 0


def choose(folder: Path, schema: Mapping[str, Any], most: int, most_bytes: int) -> Chosen:
    """The newest distinct requests that were answered; where there are none, examples from the service's schema.

    Args:
        folder: of the endpoint's prediction log.
        schema: the service's own (`/schema.json`).
        most, most_bytes: limits of their number and of their bodies together.
    """
    routes = _routes(schema)
    requests: dict[tuple[str, str], Request] = {}
    unsent = size = 0
    for row in _recorded(folder, most):
        what = str(row["api"]), str(row["input"])
        body = what[1].encode()
        if what in requests:
            continue
        path = _path(*what, routes)
        if path is None:
            unsent += 1
        elif len(requests) < most and size + len(body) <= most_bytes:
            size += len(body)
            requests[what] = Request(str(row["id"]), what[0], path, body)
    if requests:
        return Chosen("recorded", tuple(requests.values()), unsent)
    given = examples(schema)
    return Chosen("example" if given else "none", given, unsent)


def examples(schema: Mapping[str, Any]) -> tuple[Request, ...]:
    """One request for each API whose parameters all have an example or a default in the service's schema."""
    return tuple(_examples(_routes(schema)))


def _routes(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {str(route["name"]): route for route in schema.get("routes", ())}


def _recorded(folder: Path, most: int) -> list[dict[str, Any]]:
    from boxplat.serving.log import reading

    found: list[dict[str, Any]] = []
    for span in _SPANS:
        since = None if span is None else datetime.now(UTC) - span
        found = reading.query(folder, _NEWEST.format(limit=int(most) * _PER_DISTINCT), since).to_pylist()
        if len({row["input"] for row in found}) >= most:
            break
    return found


def _path(api: str, text: str, routes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Where a recorded body goes: its API's route, or that of the inference protocol; None: it is no JSON."""
    try:
        body = json.loads(text)
    except ValueError:
        return None
    tensors = body.get("inputs") if isinstance(body, dict) else None
    taken = routes.get(api, {}).get("input", {}).get("properties", {})
    if "inputs" not in taken and isinstance(tensors, list) and all(map(_is_tensor, tensors)):
        return f"/v2/models/{api}/infer"
    # An API that is gone is asked under its name: its clients would be refused in the same way.
    return str(routes[api]["route"]) if api in routes else f"/{api}"


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"name", "datatype", "shape"}


def _examples(routes: Mapping[str, Mapping[str, Any]]) -> Iterator[Request]:
    for name, route in routes.items():
        taken = route.get("input", {})
        values = {key: _example(one) for key, one in taken.get("properties", {}).items()}
        given = {key: value for key, value in values.items() if value is not None}
        if taken.get("type") == "object" and given and given.keys() >= set(taken.get("required", ())):
            yield Request(name, name, str(route["route"]), json.dumps(given).encode())


def _example(schema: Mapping[str, Any]) -> Any:
    examples = schema.get("examples")
    return examples[0] if isinstance(examples, list) and examples else schema.get("default")
