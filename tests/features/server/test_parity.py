"""Answers beside those of Feast's own server on the same rows: equal bytes, or a difference that is meant."""

from __future__ import annotations

from typing import Any

import pytest

from tests.features.server.conftest import Reference, Server

pytestmark = pytest.mark.integration

ONE = {"driver_id": [1]}
I64 = ["every:i64"]
SAME: dict[str, dict[str, Any]] = {
    "all types": {"feature_service": "all_types", "entities": {"driver_id": [1]}},
    "not found": {"feature_service": "all_types", "entities": {"driver_id": [9]}},
    "a row asked for twice": {"feature_service": "all_types", "entities": {"driver_id": [1, 9, 1]}},
    "many rows": {"feature_service": "all_types", "entities": {"driver_id": [1, 9] * 20}},
    "service of four views": {"feature_service": "mixed", "entities": {"driver_id": [1, 9], "city": ["a", "b"]}},
    "list": {"features": ["every:f32", "cities:n"], "entities": {"driver_id": [1], "city": ["a"]}},
    "full names": {"features": I64, "entities": ONE, "full_feature_names": True},
    "aliases": {
        "feature_service": "trip",
        "entities": {"from_id": [1, 2], "to_id": [2, 9]},
        "full_feature_names": True,
    },
    "no entity": {"features": ["world:rate"], "entities": {"anything": [1, 2]}},
    "keys of other views come back": {"features": I64, "entities": {"location_id": ["5"], **ONE, "odd": [4]}},
    "name of the entity": {"features": I64, "entities": {"driver": [1]}},
    "key as text": {"features": I64, "entities": {"driver_id": ["1"]}},
    "text key as number": {"features": ["cities:n"], "entities": {"city": [7]}},
    "versions": {"features": I64, "entities": ONE, "include_feature_view_version_metadata": True},
    "latest version": {"features": ["every@latest:i64"], "entities": ONE},
    "bool as text, unknown member": {"features": I64, "entities": ONE, "full_feature_names": "yes", "more": 1},
    "empty service": {"feature_service": "", "features": I64, "entities": ONE},
    "unknown view": {"features": ["zap:zip"], "entities": ONE},
    "unknown service": {"feature_service": "nope", "entities": ONE},
    "no entities": {"features": I64},
    "wrong classes": {"features": "every:i64", "entities": [1], "full_feature_names": "maybe"},
    "key that is no list": {"features": I64, "entities": {"driver_id": 1}},
    "feature that is no text": {"features": [1], "entities": ONE},
}


@pytest.mark.parametrize("name", SAME)
def test_an_answer_has_feasts_bytes(name: str, server: Server, reference: Reference) -> None:
    ours, theirs = server.ask(SAME[name]), reference.ask(SAME[name])
    assert (ours.status, ours.content_type) == (theirs.status, theirs.content_type)
    assert ours.sorted == theirs.sorted


RAW: dict[str, tuple[str, str, bytes, dict[str, str] | None]] = {
    "broken JSON": ("POST", "/get-online-features", b"{nope", None),
    "empty body": ("POST", "/get-online-features", b"", None),
    "a list": ("POST", "/get-online-features", b"[]", None),
    "not UTF-8": ("POST", "/get-online-features", b'{"entities": {"k": ["\xff"]}}', None),
    "text": ("POST", "/get-online-features", b"{}", {"content-type": "text/plain"}),
    "no content type": ("POST", "/get-online-features", b"{}", {}),
    "wrong path": ("GET", "/nothing", b"", {}),
    "wrong method": ("GET", "/get-online-features", b"", {}),
    "health": ("GET", "/health", b"", {}),
    "wrong method for health": ("POST", "/health", b"", {}),
    "push without rows": ("POST", "/push", b'{"push_source_name": "rides_pushed"}', None),
    "push to nowhere": ("POST", "/push", b'{"push_source_name": "nope", "df": {"a": [1]}}', None),
    "write to nowhere": ("POST", "/write-to-online-store", b'{"feature_view_name": "nope", "df": {"a": [1]}}', None),
}


@pytest.mark.parametrize("name", RAW)
def test_an_odd_request_is_answered_as_by_feast(name: str, server: Server, reference: Reference) -> None:
    method, path, body, headers = RAW[name]
    assert server.ask(body, path, method, headers) == reference.ask(body, path, method, headers)


# Feast answers 500 to a caller's mistake: the same words here, under a status that is the caller's.
SAME_WORDS: dict[str, tuple[int, dict[str, Any]]] = {
    "unknown feature": (404, {"features": ["every:zip"], "entities": ONE}),
    "no colon": (400, {"features": ["zip"], "entities": ONE}),
    "no features": (400, {"features": [], "entities": ONE}),
    "twice the same": (400, {"features": [*I64, *I64], "entities": ONE}),
    "twice the same, full": (400, {"features": [*I64, *I64], "entities": ONE, "full_feature_names": True}),
    "names of a service collide": (400, {"feature_service": "trip", "entities": {"from_id": [1], "to_id": [2]}}),
    "unequal lengths": (400, {"features": I64, "entities": {"driver_id": [1, 2], "city": ["a"]}}),
}


@pytest.mark.parametrize("name", SAME_WORDS)
def test_a_callers_mistake_is_not_the_servers(name: str, server: Server, reference: Reference) -> None:
    status, body = SAME_WORDS[name]
    ours, theirs = server.ask(body), reference.ask(body)
    assert (ours.status, theirs.status) == (status, 500)
    assert (ours.content_type, ours.body) == (theirs.content_type, theirs.body)


BETTER: dict[str, tuple[dict[str, Any], str]] = {
    "a key is missing": ({"features": [*I64, "cities:n"], "entities": ONE}, "city"),
    "one of two keys is missing": ({"features": ["pairs:trips"], "entities": ONE}, "city"),
    "no rows": ({"features": I64, "entities": {"driver_id": []}}, "at least one row"),
    "no keys": ({"features": I64, "entities": {}}, "at least one row"),
    "half a key": ({"features": I64, "entities": {"driver_id": [1.5]}}, "1.5"),
    "truth as a key": ({"features": I64, "entities": {"driver_id": [True]}}, "driver_id"),
    "words as a number": ({"features": I64, "entities": {"driver_id": ["x"]}}, "driver_id"),
    "a list as a key": ({"features": I64, "entities": {"driver_id": [[1]]}}, "driver_id"),
    "too large a key": ({"features": I64, "entities": {"driver_id": [2**70]}}, "driver_id"),
}


@pytest.mark.parametrize("name", BETTER)
def test_keys_that_do_not_fit_are_refused_by_name(name: str, server: Server) -> None:
    body, word = BETTER[name]
    answer = server.ask(body)
    assert answer.status == 400
    assert word in answer.json


def test_a_null_has_the_status_that_feast_defines_for_it(server: Server, reference: Reference) -> None:
    body = {"feature_service": "all_types", "entities": {"driver_id": [2, 3]}}
    ours, theirs = server.ask(body), reference.ask(body)
    for name in ours.json["metadata"]["feature_names"]:
        values = ours.column(name)["values"]
        assert values == theirs.column(name)["values"]
        assert ours.column(name)["statuses"] == ["NULL_VALUE" if value is None else "PRESENT" for value in values]
        assert set(theirs.column(name)["statuses"]) == {"PRESENT"}
    assert ours.column("f64")["values"] == [None, "NaN"]
    assert ours.column("f32")["values"] == [None, "Infinity"]


def test_what_is_too_old_is_not_served(server: Server, reference: Reference) -> None:
    body = {"features": ["short:n"], "entities": ONE}
    found = server.ask(body).column("n")
    assert found == {"values": [None], "statuses": ["OUTSIDE_MAX_AGE"], "event_timestamps": ["2026-01-02T03:04:05Z"]}
    assert reference.ask(body).column("n")["values"] == [1]


def test_a_null_key_is_not_found(server: Server, reference: Reference) -> None:
    body = {"features": I64, "entities": {"driver_id": [None, 1]}}
    assert reference.ask(body).status == 500
    assert server.ask(body).column("i64")["statuses"] == ["NOT_FOUND", "PRESENT"]
    assert server.ask(body).column("driver_id")["values"] == [None, 1]


def test_features_come_in_the_order_of_the_request(server: Server) -> None:
    asked = ["every:text", "cities:n", "every:f64", "every:i32"]
    names = server.ask({"features": asked, "entities": {**ONE, "city": ["a"]}}).json["metadata"]["feature_names"]
    assert names == ["driver_id", "city", "text", "f64", "i32", "n"]


@pytest.mark.parametrize("count", [2, 12, 13, 60])
def test_many_rows_are_what_each_row_is(count: int, server: Server) -> None:
    """Few rows are read one by one, many by column."""
    keys = [(1, 2, 3, 9)[index % 4] for index in range(count)]
    many = server.ask({"feature_service": "all_types", "entities": {"driver_id": keys}})
    each = {key: server.ask({"feature_service": "all_types", "entities": {"driver_id": [key]}}) for key in set(keys)}
    for name in many.json["metadata"]["feature_names"]:
        for member in ("values", "statuses", "event_timestamps"):
            assert many.column(name)[member] == [each[key].column(name)[member][0] for key in keys]


def test_a_transformation_is_feasts(server: Server, reference: Reference) -> None:
    body = {"feature_service": "sums", "entities": {"driver_id": [1], "add": [2]}}
    ours, theirs = server.ask(body), reference.ask(body)
    assert (ours.status, ours.sorted) == (200, theirs.sorted)
    assert ours.column("sum")["values"] == [7]
    pinned = {"features": ["every@v1:i64"], "entities": ONE}
    refused = server.ask(pinned)
    assert refused.status == 400 and reference.ask(pinned).json in refused.json
