"""What a comma means: the values of a grid, and when there is only one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError, ExitCode
from boxplat.runs.sweeps import values

TEXTS = st.text(st.sampled_from("a1,\\ =."), min_size=1, max_size=8)


@given(st.lists(TEXTS, min_size=1, max_size=5))
@settings(deadline=None)
def test_what_is_joined_comes_apart_again(parts: list[str]) -> None:
    assert values.split(values.join(parts)) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1e-3,3e-4", ["1e-3", "3e-4"]),
        (r"a\,b", ["a,b"]),
        (r"a\,b,c", ["a,b", "c"]),
        (r"C:\dir,D:\\,e", ["C:\\dir", "D:\\", "e"]),
        ("", [""]),
        ("a b", ["a b"]),
    ],
)
def test_commas_part_values_unless_escaped(text: str, parts: list[str]) -> None:
    assert values.split(text) == parts


def test_json_and_files_are_one_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a,b.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    params = {"layers": "[64, 32]", "opt": '{"lr": 1, "b": 2}', "odd": "[1,2", "file": "a,b.csv", "free": "x,y"}
    assert values.several(params, {"free"}) == {
        "layers": ["[64, 32]"],
        "opt": ['{"lr": 1, "b": 2}'],
        "odd": ["[1", "2"],
        "file": ["a,b.csv"],
        "free": ["x,y"],
    }


def test_what_a_flow_declares_as_one_value_is_found(tmp_path: Path) -> None:
    flow = tmp_path / "flow.py"
    flow.write_text(
        "import metaflow\nfrom metaflow import FlowSpec, JSONType, Parameter\n"
        "class F(FlowSpec):\n"
        "    a = Parameter('shape', type=JSONType, default='1')\n"
        "    b = metaflow.Parameter(name='b', type=metaflow.JSONType)\n"
        "    c = Parameter('names', separator=',')\n"
        "    d = Parameter('lr', type=float)\n"
    )
    assert values.whole(flow) == {"shape", "b", "names"}


@pytest.mark.parametrize("text", ["1,", ",1", "1,,2", "1,2,1"])
def test_an_empty_value_and_one_twice_are_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(BoxError) as caught:
        values.several({"lr": text}, ())
    assert caught.value.code == ExitCode.USAGE
    # What it proposes is one value.
    proposed = caught.value.fix.partition("lr=")[2].removesuffix("'")
    assert values.several({"lr": proposed}, ()) == {"lr": [text]}
