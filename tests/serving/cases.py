"""Requests to each of the services in `services/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"


@dataclass(frozen=True)
class Case:
    path: str
    body: bytes | None = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": JSON})
    method: str = "POST"

    def __str__(self) -> str:
        return f"{self.method} {self.path} {(self.body or b'')[:40]!r}"


def posted(path: str, *values: Any) -> Iterator[Case]:
    """One request for each value, as JSON."""
    for value in values:
        yield Case(path, json.dumps(value).encode())


def form(path: str, parts: dict[str, tuple[str | None, str, bytes]]) -> Case:
    """A multipart form: by field, the file's name (None: no file), its content type and its bytes."""
    lines = b""
    for name, (filename, kind, content) in parts.items():
        named = f'; filename="{filename}"' if filename else ""
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\nContent-Type: {kind}\r\n\r\n'
        lines += head.encode() + content + b"\r\n"
    return Case(path, lines + b"--b--\r\n", {"content-type": "multipart/form-data; boundary=b"})


def everywhere(path: str) -> Iterator[Case]:
    """What every path is asked, besides what fits it."""
    for body in (b"", b"{", b"null", b"[]", b'""', b"0", b"\xff", b'{"a": NaN}', b'{"a":1}{', b"[" * 500, b" {} "):
        yield Case(path, body)
    yield Case(path, None, method="GET")
    yield Case(path, b"{}", method="PUT")
    yield Case(path, None, method="HEAD")
    yield Case(path + "/", b"{}")
    yield Case(path + "?x=1", b"{}")
    for kind in (
        "text/plain",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.bentoml+pickle",
        "",
    ):
        yield Case(path, b"{}", {"content-type": kind})
    yield Case(path, b"{}", {})
    yield Case(path, b"x=1", {"content-type": "application/x-www-form-urlencoded"})
    yield Case(path, b"--b", {"content-type": "multipart/form-data; boundary=b"})


SYSTEM = [
    *(
        Case(path, None, {}, "GET")
        for path in ("/docs.json", "/schema.json", "/livez", "/readyz", "/healthz", "/", "/no")
    ),
    Case("/no"),
    Case("/livez", b"{}"),
]
TWO = [[1, 2], [3, 4]]
ORDER = {
    "id": "12345678123456781234567812345678",
    "at": "2026-01-01T00:00:00Z",
    "items": [{"name": "pen", "price": "1.50"}, {"name": "ink", "price": 2}],
}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)

CASES: dict[str, list[Case]] = {
    "scalars": [
        *posted(
            "/add", {"a": 1}, {"a": 1, "b": 2}, {"a": "1"}, {"a": 1.5}, {"a": None}, {"b": 1}, {"a": 1, "c": 2}, [1]
        ),
        *posted("/add", {"a": 2**70}, {"a": True}, {"a": 1, "b": 1e308}, {"a": 1, "b": "inf"}),
        *posted("/echo_text", {"text": "é\u0000\U0001f600"}, {"text": 1}, {"text": ""}, {"text": "\ud800"}),
        *posted("/flag", {"on": True}, {"on": "yes"}, {"on": 2}),
        *posted("/nothing", {}, {"x": 1}),
        *posted("/maybe", {}, {"value": None}, {"value": 3}, {"value": "x"}),
        *posted(
            "/colour",
            {"colour": "red"},
            {"colour": "green"},
            {"colour": "blue", "kind": "b"},
            {"colour": "red", "kind": "c"},
        ),
        *posted("/bounded", {}, {"n": 10}, {"n": 11}),
        *posted("/nested", {"rows": [{"a": [1, 2]}, {"b": []}]}, {"rows": [{"a": ["x"]}]}, {"rows": []}),
        *posted("/many", {"args": [1, 2], "kwargs": {"x": "y"}}, {"args": [1]}, {}),
        *posted("/untyped", {"value": {"x": [1, None, True, 1.5]}}, {"value": float("nan")}, {}),
        *everywhere("/add"),
        *everywhere("/untyped"),
    ],
    "positional": [
        *posted("/double", 2, 2.5, "3", None, [1], {"value": 2}),
        *posted("/text", "abc", 1, {"text": "x"}),
        Case("/text", b"plain \xc3\xa9 text", {"content-type": "text/plain"}),
        *posted("/point", {"x": 1}, {"x": 1, "y": 2}, {"y": 2}, [1, 2]),
        *posted("/points", [{"x": 1}, {"x": 2, "y": 3}], [], {"points": []}),
        *posted("/table", {"a": [1, {"b": None}]}, [], {}),
        *posted("/default", 3, {}, None),
        *(
            case
            for path in ("/double", "/text", "/point", "/points", "/table", "/default")
            for case in everywhere(path)
        ),
    ],
    "models": [
        *posted(
            "/total", {"order": ORDER}, {"order": ORDER | {"note": "x" * 11}}, {"order": ORDER | {"items": []}}, {}
        ),
        *posted(
            "/total", {"order": ORDER | {"id": "x"}}, {"order": ORDER | {"items": [{"name": "", "price": -1, "z": 1}]}}
        ),
        *posted("/whole", ORDER, ORDER | {"note": None}, ORDER | {"extra": 1}, {}),
        *posted("/wrong", {}),
        *posted("/specified", {"name": "pen", "price": 1}, {"name": "too long", "price": 1}),
        *everywhere("/total"),
        *everywhere("/whole"),
    ],
    "arrays": [
        *posted(
            "/scale",
            {"x": TWO},
            {"x": TWO, "by": 0.5},
            {"x": []},
            {"x": 3},
            {"x": [[1], [2, 3]]},
            {"x": ["a"]},
            {"x": None},
            {},
        ),
        *posted("/square", {"x": TWO}, {"x": [1, 2, 3, 4]}, {"x": [1, 2, 3]}, {"x": [["a", 1], [2, 3]]}),
        *posted("/whole", TWO, [1.5, 2], 3, {}),
        *posted(
            "/described", {"x": TWO}, {"x": [1.5]}, {"x": [True]}, {"x": ["a", "bb"]}, {"x": [None]}, {"x": {"a": 1}}
        ),
        *posted("/scalar", {"x": TWO}, {"x": []}),
        *posted("/odd", *({"kind": kind} for kind in ("nan", "bool", "int", "empty", "text", "none", "zzz"))),
        *everywhere("/scale"),
        *everywhere("/whole"),
    ],
    "tensors": [
        *posted("/forward", {"x": [[1, 2, 3]]}, {"x": [1, 2, 3]}, {"x": [1, 2]}, {"x": [["a"]]}, {"x": []}),
        *posted("/graded", {"x": [[1, 2, 3]]}),
        *everywhere("/forward"),
    ],
    "frames": [
        *posted(
            "/total", {"rows": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, {"rows": []}, {"rows": {"a": [1, 2]}}, {"rows": 5}
        ),
        *posted("/total", {"rows": [{"a": 1}, {"b": 2}]}, {"rows": [{"a": "x"}]}),
        *posted("/columns", {"rows": {"a": [1, 2], "b": [3, 4]}}, {"rows": [[1, 2], [3, 4]]}, {"rows": {"c": [1]}}),
        *posted("/whole", [{"a": 1}], {}, []),
        *everywhere("/total"),
    ],
    "asynchronous": [
        *posted("/slow", {}, {"seconds": 0.01}, {"seconds": "x"}),
        *posted("/fail", {"how": "value"}, {"how": "group"}, {"how": "no"}),
        *posted("/threaded", {"n": 10}, {"n": -1}),
        *everywhere("/slow"),
    ],
    "batched": [
        *posted("/double", {"x": [1, 2]}, {"x": TWO}, {"x": [[1.5]]}, {"x": ["a"]}),
        *posted("/lengths", {"texts": ["a", "bb"]}, {"texts": [1]}),
        *posted("/picky", {"x": [1, 2]}, {"x": [-1]}, {"x": ["y"]}),
        *posted("/whole", TWO, [1]),
        *posted("/double", {"x": list(range(20))}),
        *everywhere("/lengths"),
    ],
    "failing": [
        *posted(
            "/fail",
            *({"how": how} for how in "value argument missing busy teapot locked assert stop timeout no".split()),
        ),
        *posted("/wrong_output", {}),
        *posted("/unserialisable", {}),
    ],
    "streaming": [
        *posted("/words", {}, {"n": 0}, {"n": "x"}),
        *posted("/numbers", {}, {"n": 0}),
        *posted("/broken", {}),
        *everywhere("/words"),
    ],
    "contexts": [
        *posted("/teapot", {}),
        Case("/asked", b"{}", {"content-type": JSON, "x-agent": "me"}),
        *posted("/raw", {}, {"status": 404}),
        Case("/asked_async?a=b", b'{"n": 2}', {"content-type": JSON, "x-agent": "me"}),
        *posted("/root", TWO, [], 3, {"x": 1}, ["a"]),
        *posted("/failed", {}, {"how": "argument"}, {"how": 1}),
        *posted("/overruled", {}),
        *posted("/named", {}, {"kwargs": {"a": "b"}}, {"kwargs": {"ctx": "mine"}}, {"kwargs": {"a": 1}}),
        *posted("/kept", {}, {"value": 3}, {}, {"value": None}, {}),
        *posted("/empty", {}, {"status": 200}, {"status": 304}, {"status": 500}),
        form("/asked_async", {"n": (None, "text/plain", b"3")}),
        Case("/asked_async", b"n=3", {"content-type": "application/x-www-form-urlencoded"}),
        *everywhere("/asked"),
        *everywhere("/asked_async"),
        *everywhere("/root"),
    ],
    "files": [
        form("/size", {"file": ("a.txt", "text/plain", b"12345")}),
        form("/upper", {"file": ("a.txt", "text/plain", b"abc"), "name": (None, "text/plain", b"n")}),
        form("/upper", {"name": (None, "text/plain", b"n")}),
        form("/turned", {"image": ("a.png", "image/png", PNG)}),
        form("/turned", {"image": ("a.png", "image/png", b"no image")}),
        *posted("/size", {"file": "x"}),
        *posted("/made", {}),
    ],
    "texts": [
        *posted("/html", {"name": "é"}, {}),
        *posted("/binary", {"n": 4}, {"n": 200}, {"n": 0}),
        *posted("/typed", {"n": 3}),
        *posted("/either", {"text": True}, {"text": False}),
        *everywhere("/html"),
    ],
    "dependent": [
        *posted("/twice", {"x": 2}, {"x": "y"}),
        *posted("/later", {"x": 3}),
        *posted("/kept", {"values": [1, 2]}, {"values": []}),
        *(case for path in ("/wrong", "/crowd", "/waits") for case in posted(path, {})),
        *posted("/counted", {"to": 2}, {"to": 0}, {"to": 9}),
        *(case for path in ("/joined", "/spelled") for case in posted(path, {"of": "abc"}, {"of": ""})),
    ],
    "tasks": [*posted("/now", {"n": 3}), *posted("/square", {"n": 3}), Case("/square/status", None, {}, "GET")],
    "routed": [
        *posted("/v1/custom/path", {"x": 1}, {"x": "y"}),
        *posted("/v1/plain", {"x": 1}),
        *posted("/v1", {"x": 1}),
        *posted("/custom/path", {"x": 1}),
        Case("/v1/mounted/hello", None, {}, "GET"),
        Case("/mounted/hello", None, {}, "GET"),
        *everywhere("/v1/custom/path"),
    ],
    "crowded": [*posted("/double", {"x": TWO}, {"x": ["a"]}, {}), *posted("/late", {}), *everywhere("/double")],
    "limited": [*posted("/sleep", {"seconds": 0}, {"seconds": 30}, {"seconds": "x"}), *posted("/begun", {})],
}
