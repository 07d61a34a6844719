"""Requests to the services about types, files, hooks, streams, rules and chains."""

from __future__ import annotations

import base64
import io

from PIL import Image

from tests.serving.cases import JSON, TWO, Case, everywhere, form, posted

MOMENT = {"at": "2026-02-03T04:05:06Z", "day": "2026-02-03", "clock": "04:05"}
KNOWN = {
    "key": "12345678123456781234567812345678",
    "price": "1.50",
    "address": "127.0.0.1",
    "url": "http://a.example/é",
}
HELD = {"pair": [1, "b"], "size": {"width": 2}, "row": {"x": 1, "tags": ["t", "t"]}, "unique": [2, 1, 2]}
TREE = {"value": 1, "children": [{"value": 2, "more": 3}, {"value": 4}]}


def _picture(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (3, 2)).save(buffer, kind)
    return buffer.getvalue()


def _file(content: bytes = b"12345", name: str = "a.txt", kind: str = "text/plain") -> tuple[str, str, bytes]:
    return name, kind, content


def _twice(path: str, name: str, *contents: bytes, kind: str = "text/plain") -> Case:
    """A form with several files under one name."""
    head = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\nContent-Type: {kind}\r\n\r\n'.encode()
    )
    return Case(
        path,
        b"".join(head + content + b"\r\n" for content in contents) + b"--b--\r\n",
        {"content-type": "multipart/form-data; boundary=b"},
    )


def _whole(path: str, content: bytes, *kinds: str) -> list[Case]:
    return [Case(path, content, {"content-type": kind}) for kind in kinds]


PICTURE = _picture("PNG")
FLOATS = [0.1, 1e16, 1e-5, 1e22, 1e300, 5e-324, -0.0, 0.0, 1, 123456789012345680, 1.0, 3.4028235e38, 1 / 3, 2**53 + 1]

MORE: dict[str, list[Case]] = {
    "kinds": [
        *posted("/moments", MOMENT, MOMENT | {"at": 0}, MOMENT | {"day": "2026-02-30"}, MOMENT | {"span": "P1DT2H"}),
        *posted("/moments", MOMENT | {"span": 1.5}, MOMENT | {"at": "2026-02-03T04:05:06.123456+02:00"}, {}),
        *posted("/identities", KNOWN, KNOWN | {"price": "1e-7"}, KNOWN | {"price": "NaN"}, KNOWN | {"url": "no"}),
        *posted("/identities", KNOWN | {"price": 1.1}, KNOWN | {"address": 1}, KNOWN | {"key": "x"}),
        *posted("/level", {"level": 1}, {"level": "2"}, {"level": 3}, {"level": 1, "answer": "yes"}),
        *posted("/level", {"level": 1, "answer": 1}, {"level": 1, "answer": True}, {"level": 1.0, "answer": 1.0}),
        *posted("/pet", {"pet": {"kind": "cat"}}, {"pet": {"kind": "dog", "fullName": "x"}}, {"pet": {"kind": "cow"}}),
        *posted("/pet", {"pet": {"kind": "dog", "name": "x"}}, {"pet": {}}),
        *posted("/collected", HELD | {"fixed": [1, "x"]}, HELD | {"fixed": [1]}, HELD, HELD | {"fixed": "ab"}),
        *posted("/names", {"names": ["a", "b"]}, {"names": [1]}, {"names": {"root": []}}),
        *posted("/root_names", ["a", "b"], [], {"root": ["a"]}, "a"),
        *posted("/loose", {"loose": {"name": " a ", "more": [1]}}, {"loose": {"more": 1}}),
        *posted("/tree", TREE, {"value": "x"}, {"value": 1, "children": [{}]}, {"value": 1, "total": 5}),
        *posted("/strict", {"n": 5}, {"n": 4}, {"n": 100}, {"n": 5, "text": "AB"}, {"n": 5, "text": "abcde"}),
        *posted("/strict", {"n": 5, "ratio": 1}, {"n": 5, "ratio": float("nan")}, {"n": 5.0}, {"n": "5", "text": ""}),
        *posted("/encoded", {"data": base64.b64encode(b"ab").decode()}, {"data": "!"}, {"data": ""}),
        *posted("/encoded", {"data": "YQ==", "inner": "[1]", "secret": "s"}, {"data": "YQ==", "inner": "["}),
        *posted("/raw", {"data": "abc\u00e9"}, {"data": 1}),
        *posted("/optional", {}, {"item": None}, {"item": {"label": "a", "score": 1}}, {"rows": [1, None, "x"]}),
        *posted("/vector", {"values": [1, 2]}, {"values": [[1], [2]], "label": "l"}, {"values": "x"}, [1], {}),
        *posted("/spread", {"values": [1, 2]}, {"values": [0.5]}, {}),
        *posted("/labelled", {"label": "a", "score": 0.5}, {"label": "a", "score": 2}),
        *posted("/named", {"first": 1, "kwargs": {"b": 2}}, {"first": 1, "b": 2}, {"first": 1, "kwargs": {"b": "x"}}),
        *posted("/counted", {"args": [1, 2]}, {"args": [-1]}, {}, [1]),
        *posted("/sequence", {"values": [1, 2.5]}, {"values": "ab"}, {"values": {"a": 1}}),
        *posted("/floats", FLOATS, [], ["1.5"], [None], [True], [2**70], 1),
        Case("/floats", b"[1e400, -1e400, 1E5, 0.1e-7, 00, 1]"),
        Case("/floats", b"[1e400, -1e400, 1E5, 0.1e-7, -0, 1.10]"),
        Case("/floats", b"[NaN, Infinity, -Infinity]"),
        *posted("/anything", None, True, 1.5, "x", [FLOATS], {"a": {"b": [None]}}, "\u2028\u00e9<&>/"),
        *posted("/by/another/name", {"x": 2}, {}, {"x": "y"}),
        *posted("/renamed", {}),
        *posted("/original", {}),
        *(
            case
            for path in ("/floats", "/anything", "/tree", "/vector", "/raw", "/strict")
            for case in everywhere(path)
        ),
        *(
            Case(path, text.encode(encoding))
            for path in ("/floats", "/anything", "/tree")
            for text in ("[1, 2]", '{"value": 1}', '"\u00e9"')
            for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32-be")
        ),
        *(
            Case(path, b"[" * depth + b"1" + b"]" * depth)
            for path in ("/anything", "/floats", "/tree")
            for depth in (50, 150, 250, 990, 5000)
        ),
    ],
    "validators": [
        *posted("/typed", {}, {"x": TWO}, {"x": [1, 2.5]}, {"x": None}, {"x": "1"}, {"x": ["1"]}, {"x": [True]}),
        *posted("/kinds", {"x": [1, 2]}, {"x": [300]}, {"x": [1.9]}, {"x": [-129]}, {"x": [[True, False]]}),
        *posted("/free", {"x": TWO}, {"x": [1, 2, 3, 4]}, {"x": [1, 2, 3]}, {"x": []}),
        *posted("/flags", [True, False], [0, 2], [0.0, 0.5], ["", "x"], []),
        *posted("/single", FLOATS, TWO, [1e39], ["0.1"], [2**70], [[1], [2.5]], 0.1, []),
        *posted("/double", FLOATS, TWO, [2**63], [2**64], [-(2**63), 2**63], [1, True], [True, 0.5], [[], []], [[[]]]),
        *posted("/double", [None], ["a", 1], [{"a": 1}], {"a": 1}, "text", [[1], [2, 3]], [[1, 2], 3], 2**53 + 1),
        Case("/double", b"[NaN, Infinity, -Infinity]"),
        Case("/double", b"[1e400, 1E5, -0, -0.0, 1.10]"),
        Case("/single", b"[NaN, Infinity, -Infinity, 1e39, 16777217, 0.1]"),
        *posted(
            "/tensor", {"x": TWO, "y": TWO}, {"x": [1, 2, 3, 4], "y": 0.1}, {"x": [1], "y": 1}, {"x": TWO, "y": "a"}
        ),
        *posted("/tensor", {"x": [[1.9, 2], [3, 4]], "y": [1e6, 0.1]}, {"x": TWO, "y": [2**70, 1]}),
        *posted("/untyped", TWO, FLOATS, [True, False], [1, 0.5], [], 3, [[1], [2, 3]], [None], ["a"], [2**63]),
        *posted("/frame", [{"a": 1, "b": 2}], [{"b": 2}, {"a": 1.5}], {"a": [1, 2], "b": [3, 4]}, [[1, 2]], []),
        *posted("/frame", [{"c": 1}], [1, 2], {"a": 1}, [[1, 2, 3]], "x"),
        *posted("/columns", {"x": {"a": [1, 2, 3]}}, {"x": [{"a": 1}]}, {"x": []}, {"x": {"a": ["x"]}}),
        *posted("/odd", *({"kind": kind} for kind in ("empty", "times", "text", "gaps", "no"))),
        *posted("/json_text", {"text": "x"}),
        *posted("/vague", {}),
        *_whole("/markdown", b"# \xc3\xa9", "text/plain", "text/markdown", JSON, "text/plain; charset=latin-1"),
        *_whole("/markdown", b"\xff", "text/plain"),
        *(case for path in ("/single", "/double", "/flags", "/untyped", "/frame") for case in everywhere(path)),
    ],
    "uploads": [
        _twice("/sizes", "files", b"1", b"22", b""),
        _twice("/sizes", "files", b"1" * 2_000_000),
        _twice("/sizes", "other", b"1"),
        form("/maybe", {"name": (None, "text/plain", b"n")}),
        form("/maybe", {"file": _file()}),
        form("/maybe", {"file": _file(), "name": (None, JSON, b'"quoted"')}),
        form("/maybe", {"file": _file(), "name": (None, JSON, b"3")}),
        *posted("/maybe", {}, {"name": "x"}, {"file": None}, {"file": "text"}),
        *(form("/suffix", {"file": _file(name=name)}) for name in ("a.tar.gz", "..", "a/b.txt", "../../x.py", "é.txt")),
        form("/plain", {"file": _file(b"abc", kind="text/csv")}),
        form("/plain", {"file": _file(b"abc", kind="image/png")}),
        form("/plain", {}),
        *_whole("/whole", b"\x00\xff" * 10, "application/octet-stream", "text/plain", JSON, ""),
        *_whole("/whole", b"", "application/octet-stream"),
        *_whole("/picture", PICTURE, "image/png", JSON, "image/jpeg"),
        *_whole("/picture", b"no picture", "image/png"),
        *_whole("/picture", PICTURE[:40], "image/png"),
        _twice("/pictures", "images", PICTURE, _picture("GIF", "P"), kind="application/octet-stream"),
        _twice("/pictures", "images", PICTURE, kind="image/png"),
        _twice("/pictures", "images", PICTURE, kind="image/gif"),
        form("/described", {"image": _file(PICTURE, kind="image/png"), "about": (None, JSON, b'{"title": "t"}')}),
        form("/described", {"image": _file(PICTURE, kind="image/png"), "about": (None, JSON, b"{}")}),
        form("/described", {"image": _file(PICTURE, kind="image/png"), "scale": (None, JSON, b"x")}),
        *posted("/drawn", {}, {"width": 5, "kind": "GIF"}, {"kind": "JPEG"}, {"kind": "NONE"}, {"width": 0}),
        *posted("/jpeg", {}),
        *posted(
            "/written", {"name": "a.csv"}, {"name": "b.png"}, {"name": "c"}, {"name": "\u00e9.txt"}, {"name": "no/d"}
        ),
        *posted("/sound", {}),
        *_whole("/echoed", b"\x00\xffabc", "application/octet-stream", JSON, "text/plain"),
        *_whole("/echoed", b"[1]", JSON),
        *(case for path in ("/sizes", "/whole", "/maybe", "/echoed") for case in everywhere(path)),
    ],
    "lifecycle": [
        *posted("/begun", {}),
        *posted("/itself", {}),
        *posted("/by_itself", {"text": "abc"}, {"text": 1}),
        *posted("/upper", {"text": "abc"}),
        *posted("/around", {}),
        *(
            Case(path, body, {"content-type": JSON, "x-one": "a", "cookie": "k=v; l=w"})
            for path in ("/asked?a=1&a=2&b=%20", "/asked")
            for body in (b"{}", b'{"name": "y"}', b"{")
        ),
        *posted("/answered", {}, {"status": 404}, {"status": 500}, {"status": 304}, {"status": "x"}),
        *posted("/afterwards", {"what": "seen"}),
        *posted("/begun", {"until": "seen"}),
        *posted("/counted", {}, {}),
        *_whole("/whole", b"text", "text/plain", JSON),
        *posted("/readied", {"ready": False}),
        *(Case(path, None, {}, "GET") for path in ("/readyz", "/livez", "/healthz")),
        *posted("/upper", {"text": "served all the same"}),
        *posted("/readied", {"ready": True}),
        *everywhere("/upper"),
        *everywhere("/answered"),
    ],
    "generators": [
        *posted("/pieces", {}, {"n": 0}, {"n": "x"}, {"n": 50}),
        *posted("/tokens", {"words": ["a", "\u00e9"]}, {"words": []}, {"words": [1]}),
        *posted("/rows", {}, {"n": 0}),
        *posted("/numbers", {}, {"n": 0}),
        *posted("/arrays", {}),
        *posted("/events", {}, {"n": 0}),
        *posted("/midway", {}),
        *posted("/midway_in_thread", {}),
        *posted("/refused", {"n": 1}, {}),
        *posted("/with_context", {}),
        *posted("/handed_on", {}, {"n": 0}),
        *posted("/handed_on_async", {}, {"n": 0}),
        *posted("/unicode", {}),
        *everywhere("/numbers"),
    ],
    "crossorigin": [
        *(
            Case(path, b'{"x": 1}', {"content-type": JSON, "origin": origin})
            for path in ("/plain", "/held", "/no", "/own/items/3")
            for origin in ("http://a.example", "http://b.example", "null")
        ),
        *(
            Case("/plain", None, {"origin": origin, "access-control-request-method": method}, "OPTIONS")
            for origin in ("http://a.example", "http://b.example")
            for method in ("POST", "PUT")
        ),
        *(Case(path, None, {}, "GET") for path in ("/own/items/3", "/own/items/x", "/own/docs", "/own", "/items/3")),
        *posted("/plain", {"x": 1}, {"x": "y"}),
        *everywhere("/held"),
    ],
    "chained": [
        *posted("/all", {"x": [1, 2, 3]}, {"x": []}, {"x": ["a"]}),
        *posted("/direct", {"x": [1, 2]}, {"x": []}),
        *posted("/fails", {"how": "argument"}, {"how": "value"}),
        *posted("/caught", {"how": "argument"}, {"how": "value"}),
        *posted("/moved", {"point": {"x": 1}}, {"point": {}}),
        *posted("/whole", {"text": "a\u00e9"}),
    ],
    "queued": [
        *posted("/doubled", {"x": TWO}, {"x": "y"}),
        *posted("/plain", {}, {"n": "x"}),
        *posted("/text", "abc"),
        *(
            Case(f"{path}/{verb}{query}", None, {}, method)
            for path in ("/doubled", "/of/a/file")
            for verb, method in (
                ("status", "GET"),
                ("get", "GET"),
                ("retry", "POST"),
                ("cancel", "PUT"),
                ("submit", "PUT"),
            )
            for query in ("", "?task_id=no", "?task_id=")
        ),
        *everywhere("/doubled"),
    ],
}
