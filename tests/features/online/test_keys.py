"""Requests that name no entities, or the wrong ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.online.keys import checked, columns


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ([], "no entity keys given"),
        ({}, "no entity keys given"),
        ({"user": []}, "no entity keys given"),
        ([{"user": 1}, {"shop": "x"}], "different keys"),
        ([{"user": 1}, {"user": 1, "shop": "x"}], "different keys"),
        ([{"user": 1, "shop": "x"}, {"user": 1}], "different keys"),
        ({"user": [1, 2], "shop": ["x"]}, "different lengths"),
        ({"user": 1}, "no list"),
        ({"user": "12"}, "no list"),
        ([{"shop": "x"}], "cannot be read without 'user'"),
        ([{"users": 1}], "cannot be read without 'user'"),
        ([{"user": "1"}], "key 'user' of row 0 is not INT64"),
        ([{"user": 1}, {"user": 1.5}], "key 'user' of row 1 is not INT64"),
        ([{"user": True}], "is not INT64"),
        ([{"user": 2**63}], "is not INT64"),
        ([{"user": [1]}], "is not INT64"),
    ],
)
def test_refused(box: Any, request_: Any, words: str) -> None:
    """Feast's own errors too, for code that catches those; never an answer in which entities are mixed up."""
    with pytest.raises(BoxError, match=words) as caught:
        box.get_online_features(["recent:clicks"], request_)
    assert isinstance(caught.value, KeyError) and isinstance(caught.value, ValueError)
    assert caught.value.code is ExitCode.USAGE and caught.value.why and caught.value.fix


def test_near_names_are_shown(box: Any) -> None:
    with pytest.raises(BoxError) as caught:
        box.get_online_features(box.get_feature_service("plain_v1"), [{"usr": 1, "shop": "x"}])
    assert caught.value.what == "plain_v1 cannot be read without 'user'" and "did you mean 'user'" in caught.value.why


@pytest.mark.parametrize(
    "given",
    [[7, 8], (7, 8), np.array([7, 8]), np.array([7, 8], np.int32), np.array([7.0, 8.0]), pa.array([7, 8]), [7.0, 8]],
)
def test_forms_of_a_column(given: Any) -> None:
    found, rows = columns({"user": given})
    assert rows == 2 and list(checked("user", found["user"], "INT64")) == [7, 8]


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        ("INT64", [1, None], [1, None]),
        ("INT64", [1.0, float("nan")], [1, None]),
        ("INT32", [np.int64(5), 2**31 - 1], [5, 2**31 - 1]),
        ("STRING", ["a", np.str_("b"), None], ["a", "b", None]),
        ("DOUBLE", [1, 2.5], [1.0, 2.5]),
        ("BYTES", [b"\xff"], [b"\xff"]),
        ("UNIX_TIMESTAMP", [0, datetime(1970, 1, 1)], [datetime(1970, 1, 1, tzinfo=UTC)] * 2),
    ],
)
def test_exact_conversions(type_: str, given: list[Any], kept: list[Any]) -> None:
    assert list(checked("key", given, type_)) == kept


@pytest.mark.parametrize(
    ("type_", "value"),
    [("STRING", 1), ("STRING", b"a"), ("INT32", 2**31), ("BYTES", "a"), ("BOOL", 1), ("DOUBLE", "1"), ("DOUBLE", True)],
)
def test_no_other_conversions(type_: str, value: Any) -> None:
    with pytest.raises(BoxError, match=f"is not {type_}"):
        checked("key", [value], type_)
