"""Who is let in: keys made, used, refused and revoked, in the state and in a real Envoy."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases import keys
from boxplat.releases.gateway.access import own_token
from tests.conftest import Command
from tests.releases.gateway.conftest import Place, until, whole_lines
from tests.releases.gateway.servers import Server, ask, request


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(place: Place) -> Iterator[tuple[Place, Server, str, str]]:
    """An endpoint that asks for keys: (its place, its process, a key that may invoke, one that may operate)."""
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100})
    made = [keys.make(place.state, who, scopes, "test").token for who, scopes in _WHO.items()]
    until(lambda: set(_WHO) < set(place.applied.keys), "the keys are taken")
    yield place, server, *made
    for who in _WHO:
        if any(key.name == who for key in place.state.keys.all()):
            keys.revoke(place.state, who, "test")
    assert place.applied.keys == ()
    assert ask(place.port(name), request()).status == 200


_WHO = {"alice": ["invoke"], "opal": ["operate", "invoke"]}


def _port(place: Place) -> int:
    return place.port(max(place.applied.endpoints, key=lambda name: int(name.rpartition("-")[2])))


@pytest.mark.integration
def test_only_a_known_key_gets_an_answer(guarded: tuple[Place, Server, str, str]) -> None:
    place, server, token, _ = guarded
    port, before = _port(place), len(server.seen)
    digest = hashlib.sha256(token.encode()).hexdigest()
    wrong = ["", "Bearer", "Bearer x", f"Basic {token}", f"Bearer {token}x", f"Bearer {token[:-1]}", f"Bearer {digest}"]
    wrong += ["Bearer need", f"Bearer {'x' * 4000}", "Bearer box", f"Bearer {token} {token}"]
    for given in wrong:
        answer = ask(port, request(Authorization=given) if given else request())
        assert answer.status == 401 and "www-authenticate: Bearer\r\n" in answer.head, given
        assert "error" in json.loads(answer.body) and token not in answer.body.decode()
    assert len(server.seen) == before
    assert ask(port, request(**_bearer(token), x_client_id="somebody-else")).status == 200
    seen = server.seen[-1]
    assert seen.header("authorization") is None, "a key is for the gateway alone"
    assert seen.header("x-client-id") == "alice", "nobody takes another one's place in the queue"


@pytest.mark.integration
def test_scopes_are_kept_apart(guarded: tuple[Place, Server, str, str]) -> None:
    place, _, invoke, operate = guarded
    port = _port(place)
    for path in ("/metrics", "/v2/repository/models/m/load"):
        assert ask(port, request(path, **_bearer(invoke))).status == 403
        assert ask(port, request(path, **_bearer(operate))).status == 200
        assert ask(port, request(path)).status == 401
    for path in ("/readyz", "/livez", "/v2/health/ready"):
        assert ask(port, request(path, "GET")).status == 200
    assert ask(place.own_port, request("/metrics", "GET", **_bearer(invoke))).status == 403
    assert ask(place.own_port, request("/metrics", "GET", **_bearer(operate))).status == 200
    assert ask(place.own_port, request("/ready", "GET")).status == 200


@pytest.mark.integration
def test_a_revoked_key_is_refused_when_the_command_returns(guarded: tuple[Place, Server, str, str]) -> None:
    place, _, token, _ = guarded
    assert ask(_port(place), request(**_bearer(token))).status == 200
    keys.revoke(place.state, "alice", "test")
    assert ask(_port(place), request(**_bearer(token))).status == 401
    again = keys.make(place.state, "alice", ["invoke"], "test").token
    assert again != token and ask(_port(place), request(**_bearer(again))).status == 200
    assert ask(_port(place), request(**_bearer(token))).status == 401


@pytest.mark.integration
def test_the_boxs_own_commands_are_let_in(guarded: tuple[Place, Server, str, str]) -> None:
    place, _, _, _ = guarded
    assert ask(_port(place), request(**keys.headers(place.state, place.paths))).status == 200
    path = place.paths.state / "gateway" / "own.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.integration
def test_the_log_has_names_and_nothing_on_disk_has_tokens(guarded: tuple[Place, Server, str, str]) -> None:
    place, _, token, other = guarded
    ask(_port(place), request(x_request_id="by-alice", **_bearer(token)))
    log = place.paths.logs / "gateway-access.log"
    line = until(lambda: next((text for text in whole_lines(log) if "by-alice" in text), None), "the line")
    assert json.loads(line)["key"] == "alice"
    for file in place.paths.state.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert token.encode() not in content and other.encode() not in content, file


def test_the_check_in_envoy_hashes_as_everybody_does(place: Place) -> None:
    """Lengths around the borders of SHA-256's blocks; each token is accepted, so its digest was right."""
    tokens = ["k" * length for length in (1, 54, 55, 56, 63, 64, 65, 118, 119, 120, 200)]
    server = place.server("1")
    name = place.endpoint({1: [server]}, {1: 100})
    for number, token in enumerate(tokens):
        place.state.keys.add(f"sha{number}", ["invoke"], hashlib.sha256(token.encode()).hexdigest(), "test")
    try:
        until(lambda: f"sha{len(tokens) - 1}" in place.applied.keys, "the keys are taken")
        assert [ask(place.port(name), request(**_bearer(token))).status for token in tokens] == [200] * len(tokens)
        assert ask(place.port(name), request(**_bearer("k" * 57))).status == 401
    finally:
        for number in range(len(tokens)):
            place.state.keys.revoke(f"sha{number}", "test")
        until(lambda: place.applied.keys == (), "the keys are gone")


def test_names_and_scopes_are_checked(state: StateStore) -> None:
    for name, scopes in (("", ["invoke"]), ("a b", ["invoke"]), ("box", ["invoke"]), ("a", []), ("a", ["root"])):
        with pytest.raises(BoxError) as caught:
            keys.make(state, name, scopes, "test")
        assert caught.value.code == ExitCode.USAGE
    keys.make(state, "a", ["invoke"], "test")
    with pytest.raises(BoxError, match="already"):
        keys.make(state, "a", ["operate"], "test")
    with pytest.raises(BoxError) as caught:
        keys.revoke(state, "b", "test")
    assert caught.value.code == ExitCode.NOT_FOUND


def test_the_record_has_names_and_no_digests(state: StateStore) -> None:
    made = keys.make(state, "a", ["invoke"], "me")
    keys.revoke(state, "a", "me")
    entries = state.record.entries("gateway")
    assert [(entry.kind, entry.by, entry.data["name"]) for entry in entries] == [
        ("key.made", "me", "a"),
        ("key.revoked", "me", "a"),
    ]
    said = repr(entries) + repr(state.events.all())
    assert made.token not in said and state.keys.digests() == {}
    assert hashlib.sha256(made.token.encode()).hexdigest() not in said


def test_without_keys_a_command_says_nothing(state: StateStore, project: Path) -> None:
    assert keys.headers(state, Paths(project)) == {}
    assert not (project / ".box" / "gateway" / "own.key").exists()
    assert own_token(Paths(project)) == own_token(Paths(project))


def test_the_command_shows_a_token_once(box_command: Command, project: Path) -> None:
    done = box_command("keys", "make", "alice", "--scope", "operate")
    token = done.stdout.strip()
    assert re.fullmatch(r"box_[\w-]{43}", token) and token not in done.stderr
    listed = box_command("keys", "list", "--json")
    assert [key["name"] for key in json.loads(listed.stdout)["keys"]] == ["alice"]
    assert token not in listed.stdout and "digest" not in listed.stdout
    for file in (project / ".box").rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file
    assert box_command("keys", "revoke", "alice").returncode == 0
    assert box_command("keys", "revoke", "alice").returncode == ExitCode.NOT_FOUND
    assert "everybody" in box_command("keys", "list").stdout
    assert os.stat(project / ".box").st_mode & 0o077 == 0
