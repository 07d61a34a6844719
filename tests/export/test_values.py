"""Values survive the trip to a step: JSON, YAML of both kinds, Argo's base64, a shell, and Kubernetes' `$(NAME)`."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.export import document
from boxplat.export.flows.values import clean, escaped, exported, label, placed
from boxplat.export.model import STORAGE, Policy
from tests.export.test_document import TRAPS

# A variable of a process holds no zero byte, and no half of a pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
wild = st.one_of(st.sampled_from([trap for trap in TRAPS if "\0" not in trap]), texts)
dollars = st.text(st.sampled_from("$()aA_{}'\"`\\ \n"), max_size=20)


class CoreReader(yaml.SafeLoader):
    """YAML 1.2's core schema, as Go's readers have it: `0o17` and `1e3` are numbers, `on` and `n` are not."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for tag, pattern in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}.items():
    CoreReader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), None)


@settings(deadline=None)
@given(st.dictionaries(wild, wild, max_size=4))
def test_both_kinds_of_reader_get_the_same_texts(content: dict[str, str]) -> None:
    written = document.dump({"env": content})
    assert yaml.safe_load(written) == {"env": content}
    assert yaml.load(written, CoreReader) == {"env": content}


def test_the_oracle_itself_sees_what_go_sees() -> None:
    assert yaml.load("[0o17, 1e3, on, n, null]", CoreReader) != ["0o17", "1e3", "on", "n", "null"]


def start(values: dict[str, Any], folder: Path) -> dict[str, str]:
    """The environment of a first step to which Argo hands these parameters, by what bash makes of the command."""
    words = [
        f"{name},{'t' if value is None else 'f'},{base64.b64encode(json.dumps(value).encode()).decode()}"
        for name, value in values.items()
    ]
    made = f"python -m metaflow.plugins.argo.set_parameters abcdefghij {' '.join(words)} && . `pwd`/abcdefghij"
    command = exported(made).replace("python -c", f"{sys.executable} -c", 1) + " && env -0"
    child = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, check=True, env={})
    pairs = [entry.split("=", 1) for entry in child.stdout.decode().split("\0") if entry]
    return {key: value for key, value in pairs if key.startswith("METAFLOW_INIT_")}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(st.one_of(wild, dollars), min_size=1, max_size=25))
def test_a_parameter_reaches_the_first_step_as_it_is(values: list[str], tmp_path: Path) -> None:
    named = {f"p-{index}": value for index, value in enumerate(values)}
    assert start(named, tmp_path) == {f"METAFLOW_INIT_P_{index}": value for index, value in enumerate(values)}


def test_numbers_booleans_objects_and_nothing_reach_it_too(tmp_path: Path) -> None:
    given_ = {"n": 1e3, "on": True, "object": '{"a": [1, "ü"]}', "none": None, "long": "x" * 60_000}
    got = start(given_, tmp_path)
    assert got == {
        "METAFLOW_INIT_N": "1000.0",
        "METAFLOW_INIT_ON": "true",
        "METAFLOW_INIT_OBJECT": '{"a": [1, "ü"]}',
        "METAFLOW_INIT_LONG": "x" * 60_000,
    }


def test_a_value_that_somebody_submits_without_quotes_is_taken_as_written(tmp_path: Path) -> None:
    """`argo submit -p n=1e3` is no JSON text of ours: the step must not get 1000.0."""
    word = base64.b64encode(b"1e3").decode()
    made = f"python -m metaflow.plugins.argo.set_parameters abcdefghij n,f,{word} && . `pwd`/abcdefghij"
    command = exported(made).replace("python -c", f"{sys.executable} -c", 1) + ' && printf %s "$METAFLOW_INIT_N"'
    child = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True, env={})
    assert child.stdout == b"1e3"


def kubelet(text: str, known: dict[str, str]) -> str:
    """Kubernetes' expansion of a variable's value (third_party/forked/golang/expansion)."""

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replaced, text)


@settings(deadline=None)
@given(dollars)
def test_kubernetes_hands_a_variable_on_as_it_is(text: str) -> None:
    assert kubelet(escaped(text), {"a": "expanded", "A": "expanded", "": "expanded"}) == text


@settings(deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_every_text_has_a_label(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", label(text), re.ASCII)


@settings(deadline=None)
@given(st.sets(st.text("aB_-é", min_size=1, max_size=80), min_size=2, max_size=2))
def test_two_texts_have_two_labels(pair: set[str]) -> None:
    one, other = pair
    assert label(one) != label(other)


@pytest.mark.parametrize(
    ("storage", "fetched"),
    [
        ("s3://bucket", 'download_file("bucket", "metaflow/F/data/ab")'),
        ("s3://bucket/team/x", 'download_file("bucket", "team/x/metaflow/F/data/ab")'),
    ],
)
def test_code_is_fetched_from_the_storage_of_the_environment(storage: str, fetched: str) -> None:
    policy = Policy("p", "p", {}, storage)
    found = clean(
        {"command": 'download_file("storage.invalid", "metaflow/F/data/ab")', "url": f"{STORAGE}/metaflow", "no": None},
        placed(policy, "f"),
    )
    assert found == {"command": fetched, "url": f"{storage}/metaflow"}
