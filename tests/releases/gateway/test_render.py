"""The texts of the configuration: pure, whole, and such that Envoy takes every one of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from boxplat.releases.gateway.files import Folder, RefusedError
from boxplat.releases.gateway.model import Key, Route, Settings, Target, Tracing
from boxplat.releases.gateway.render import CLUSTERS, LISTENERS, render, version, whole
from boxplat.releases.gateway.spread import spread
from boxplat.releases.gateway.tracing import tracing

_PORT = st.integers(1, 65535)
_TEXT = st.text("abcXYZ019-._~ äß✓\"\\%{}'", max_size=12)


@st.composite
def _weights(draw: st.DrawFn) -> dict[int, int]:
    releases = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(releases) - 1, max_size=len(releases) - 1)))
    ends = [0, *cuts, 100]
    return {release: ends[i + 1] - ends[i] for i, release in enumerate(releases)}


@st.composite
def _routes(draw: st.DrawFn) -> list[Route]:
    names = draw(st.lists(st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,30}", fullmatch=True), max_size=3, unique=True))
    ports = iter(draw(st.lists(st.integers(2, 65535), min_size=2 * len(names), max_size=2 * len(names), unique=True)))
    found = []
    for name in names:
        weights = draw(_weights())
        target = st.builds(Target, _PORT, st.none() | _PORT)
        releases = st.sampled_from([*weights, 77, 78])
        grpc = next(ports) if draw(st.booleans()) else None
        found.append(
            Route(
                endpoint=name,
                port=next(ports),
                grpc_port=grpc,
                parts=spread(weights, draw(_weights().map(lambda before: tuple(before.items())))),
                targets=draw(st.dictionaries(releases, st.lists(target, max_size=3).map(tuple), max_size=4)),
                shadow=draw(st.none() | st.just(99)),
                sticky=draw(st.from_regex(r"[A-Za-z0-9-]{0,20}", fullmatch=True)),
                timeout=draw(st.floats(0, allow_infinity=False, allow_nan=False)),
                retries=draw(st.integers(0, 100)),
                repeatable=draw(st.booleans()),
                requests_per_second=draw(st.floats(0, allow_infinity=False, allow_nan=False)),
                body_mib=draw(st.integers(0, 10**7)),
                in_flight=draw(st.integers(1, 10**7)),
            )
        )
    return found


_KEY = st.builds(
    Key,
    name=st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,31}", fullmatch=True),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    operate=st.booleans(),
)
_TRACING = st.builds(
    Tracing,
    host=st.sampled_from(["127.0.0.1", "collector.example", "localhost"]),
    port=_PORT,
    service_name=_TEXT,
    path=st.none() | st.sampled_from(["/v1/traces", "/"]),
    percent=st.floats(0, 100),
    headers=st.dictionaries(
        st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True), st.text("abc =;1", max_size=9), max_size=2
    ),
)
_SETTINGS = st.builds(
    Settings,
    port=st.just(1),
    access_log=st.sampled_from(["", "./access.log"]),
    keys=st.lists(_KEY, max_size=3, unique_by=lambda key: key.digest).map(tuple),
    tracing=st.none() | _TRACING,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("render") / "gateway")


@pytest.mark.integration
@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(routes=_routes(), chosen=_SETTINGS)
def test_envoy_takes_whatever_the_model_can_say(folder: Folder, routes: list[Route], chosen: Settings) -> None:
    folder.check(routes, chosen)


@given(routes=_routes(), chosen=_SETTINGS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_wishes_are_the_same_texts(routes: list[Route], chosen: Settings) -> None:
    files = render(routes, chosen)
    assert files == render(list(reversed(routes)), chosen)
    for name, text in files.items():
        assert "NaN" not in text and "Infinity" not in text
        assert name == "bootstrap.json" or version(text)
    tables = {name for name in files if name.startswith("routes-")}
    read = {
        manager["rds"]["config_source"]["path_config_source"]["path"].removeprefix("./")
        for one in json.loads(files[LISTENERS])["resources"]
        for manager in [one["filter_chains"][0]["filters"][0]["typed_config"]]
    }
    assert tables == read, "each listener has its table, and each table its listener"
    names = [one["name"] for one in json.loads(files[CLUSTERS])["resources"]]
    for name in tables:
        text = files[name]
        for piece in text.split('"name": "')[1:]:
            word = piece.partition('"')[0]
            assert "@" not in word or word in names or word in {f"{route.endpoint}@grpc" for route in routes}


def test_a_split_changes_the_tables_alone() -> None:
    """Listeners stay, so connections do."""
    targets = {1: (Target(4001),), 2: (Target(4002),)}
    before = Route("delay", 3000, spread({1: 100}), targets)
    after = replace(before, parts=spread({1: 50, 2: 50}), sticky="x", requests_per_second=5, body_mib=1, timeout=3)
    one, two = render([before], Settings(8080)), render([after], Settings(8080))
    assert [name for name in one if one[name] != two[name]] == ["routes-delay.json"]
    keyed = render([before], Settings(8080, keys=(Key("a", "0" * 64),)))
    assert sorted(name for name in one if one[name] != keyed[name]) == ["routes-delay.json", "routes.json"]


def test_no_secret_is_in_what_is_written_but_the_collectors() -> None:
    text = "".join(render([], Settings(8080, keys=(Key("alice", "ab" * 32),))).values())
    assert "alice" in text and "ab" * 32 in text


@pytest.mark.integration
def test_what_envoy_refuses_is_told_in_its_words(folder: Folder) -> None:
    bad = Route("delay", 3000, spread({1: 100}), {1: (Target(4001),)}, sticky="not a header\n")
    with pytest.raises(RefusedError, match="Header"):
        folder.check([bad], Settings(8080))
    assert whole([], Settings(1)) != ""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=_weights(), after=_weights())
def test_no_more_of_the_keys_move_than_must(before: dict[int, int], after: dict[int, int]) -> None:
    old = spread(before)
    new = spread(after, old)

    def owners(parts: tuple[tuple[int, int], ...]) -> list[int]:
        return [release for release, percent in parts for _ in range(percent)]

    for weights, parts in ((before, old), (after, new)):
        assert {release: owners(parts).count(release) for release in weights} == weights
    moved = sum(one != two for one, two in zip(owners(old), owners(new), strict=True))
    least = sum(abs(before.get(release, 0) - after.get(release, 0)) for release in before | after) // 2
    assert moved == least
    assert spread(after, new) == new


def test_weights_are_a_hundred() -> None:
    for weights in ({}, {1: 99}, {1: 60, 2: 60}, {1: 150, 2: -50}):
        with pytest.raises(ValueError, match="100"):
            spread(weights)


_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, None),
        ({_BASE: "http://c:1", "OTEL_SDK_DISABLED": "true"}, None),
        ({_BASE: "http://c:1", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({_BASE: "http://c:1", "OTEL_TRACES_SAMPLER": "always_off"}, None),
        ({_BASE: "http://c"}, Tracing("c", 4318, "boxplat-gateway", "/v1/traces")),
        ({_BASE: "http://c:9/base/"}, Tracing("c", 9, "boxplat-gateway", "/base/v1/traces")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:9/own"}, Tracing("c", 9, "boxplat-gateway", "/own")),
        ({_BASE: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, Tracing("c", 4317, "boxplat-gateway")),
        (
            {_BASE: "http://c", "OTEL_SERVICE_NAME": "s", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, d = e"},
            Tracing("c", 4318, "s", "/v1/traces", headers={"a": "b c", "d": "e"}),
        ),
        (
            {_BASE: "http://c", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
            Tracing("c", 4318, "boxplat-gateway", "/v1/traces", percent=25.0),
        ),
    ],
)
def test_spans_go_where_the_usual_variables_say(environ: dict[str, str], wanted: Tracing | None) -> None:
    assert tracing(environ) == wanted


@pytest.mark.parametrize("base", ["collector:4317", "ftp://c", "http://"])
def test_a_collector_that_is_no_url_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="spans"):
        tracing({_BASE: base})


def test_a_collector_behind_tls_needs_authorities(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    found = tracing({_BASE: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(file)})
    assert found is not None and found.tls_ca == str(file) and math.isclose(found.percent, 100)
