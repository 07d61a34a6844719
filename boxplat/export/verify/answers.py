"""What exported endpoints answer, against the local releases that they are made from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from boxplat.core.errors import BoxError
from boxplat.core.export_config import VerifyConfig
from boxplat.export.model import Document
from boxplat.export.verify.compare import DIFFERENT, IDENTICAL, UNCOMPARED, Finding, Served, answered
from boxplat.export.verify.pods import Missing, Processes, World
from boxplat.export.verify.servers import Address, exchange, served
from boxplat.releases.recorded import Request, choose, examples

_MOST, _MOST_BYTES = 20, 8 * 2**20
_OUTPUTS = """
select id, status, output from requests
where id in ({ids}) and release = {release} and strlen(output) = output_bytes and output_sha256 is null
"""
Answer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Local:
    """A release of this box that gets requests, or copies of them.

    `url` is where a process of it answers, empty where none runs. `log` is the folder of the endpoint's prediction log.
    """

    endpoint: str
    number: int
    url: str
    log: Path


def answers(deployment: Document, local: Local, declared: VerifyConfig, world: World) -> Served:
    """Run an exported release and ask it what the local one was asked: status and bytes of the answers.

    Asked are the newest distinct requests of the prediction log, 20 at most, and the examples of its schema. Without a
    local process the answers in the log are compared with.

    Args:
        declared: what may differ, by the names of APIs.
        world: with the Bento in its images.
    """
    name, began = deployment["metadata"]["name"], time.monotonic()
    try:
        with served(Processes(world, 1), deployment, world.hosts[name], name) as address:
            found = tuple(_compared(Address(*address, name), local, declared))
    except (BoxError, Missing) as error:
        why = error.why if isinstance(error, BoxError) else str(error)
        found = (Finding(name, "", DIFFERENT, f"it does not get ready: {why}"),)
    beside = f"release {local.number}, {'running' if local.url else 'recorded'}"
    return Served(f"endpoint {name}", beside, found, time.monotonic() - began)


def _compared(address: Address, local: Local, declared: VerifyConfig) -> Iterator[Finding]:
    schema = json.loads(exchange(address, "/schema.json")[1])
    requests = _requests(local.log, schema)
    if not requests:
        why = "no request is recorded, and no API has an example"
        yield Finding(address.host, "", UNCOMPARED, why)
    recorded = {} if local.url else _recorded(local, requests)
    for request in requests:
        theirs = exchange(address, request.path, request.body)
        ours = _running(local.url, request) if local.url else recorded.get(request.id)
        if ours is None:
            why = "the log has no whole answer of this release: box up --detach, then again"
            yield Finding(request.api, request.id, UNCOMPARED, why)
        elif ours == theirs:
            yield Finding(request.api, request.id, IDENTICAL)
        else:
            yield _unlike(request, ours, theirs, declared)


def _requests(log: Path, schema: Mapping[str, object]) -> list[Request]:
    chosen = choose(log, schema, _MOST, _MOST_BYTES)
    found = list(chosen.requests)
    known = {(one.path, one.body) for one in found}
    return found + [one for one in examples(schema) if (one.path, one.body) not in known]


def _running(url: str, request: Request) -> Answer:
    place = urlsplit(url)
    address = Address(str(place.hostname), place.port or 80, str(place.hostname))
    return exchange(address, request.path, request.body)


def _recorded(local: Local, requests: list[Request]) -> dict[str, Answer]:
    """The answers that the release gave, by request; those that the log has cut short are none."""
    from boxplat.serving.log import reading

    ids = ", ".join("'" + one.id.replace("'", "''") + "'" for one in requests)
    rows = reading.query(local.log, _OUTPUTS.format(ids=ids, release=int(local.number))).to_pylist()
    return {str(row["id"]): (int(row["status"]), str(row["output"]).encode()) for row in rows}


def _unlike(request: Request, ours: Answer, theirs: Answer, declared: VerifyConfig) -> Finding:
    if ours[0] != theirs[0]:
        why = f"status {ours[0]}, then {theirs[0]}: {theirs[1][:200].decode(errors='replace')}"
        return Finding(request.api, request.id, DIFFERENT, why)
    try:
        values = json.loads(ours[1]), json.loads(theirs[1])
    except ValueError:
        return Finding(request.api, request.id, DIFFERENT, f"{len(ours[1])} bytes, then other {len(theirs[1])}")
    return answered(Finding(request.api, request.id, DIFFERENT), *values, declared)
