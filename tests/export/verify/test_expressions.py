"""Argo's templates and conditions, as Metaflow writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.export.verify.expressions import Unresolved, filled, fulfilled, holds, named

SWITCH = (
    "({{=(tasks['pick'].status == 'Succeeded' ? tasks['pick'].outputs.parameters['switch-step'] : nil) == 'left'}})"
)
SCOPE = {
    "inputs.parameters.num-parallel": "3",
    "workflow.status": "Failed",
    "tasks.pick.status": "Succeeded",
    "tasks.pick.outputs.parameters.switch-step": "left",
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{=asInt(inputs.parameters['num-parallel'])}}", "3"),
        ("n{{=sprig.int(sprig.sub(sprig.int(inputs.parameters['num-parallel']),1))}}", "n2"),
        ("{{=toBase64(inputs.parameters['num-parallel'])}}", "Mw=="),
        ("{{inputs.parameters.num-parallel}}/{{ workflow.status }}", "3/Failed"),
    ],
)
def test_templates_are_filled(text: str, wanted: str) -> None:
    assert filled({"a": [text]}, SCOPE) == {"a": [wanted]}


def test_what_nobody_knows_is_refused_unless_its_task_did_not_run() -> None:
    text = "x/{{tasks.left.outputs.parameters.task-id}}"
    with pytest.raises(Unresolved, match=r"tasks\.left"):
        filled(text, SCOPE)
    assert filled(text, SCOPE, ("tasks.left.",)) == text


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("{{workflow.status}} != Succeeded", True),
        (SWITCH, True),
        (SWITCH.replace("left", "right"), False),
        (f"{SWITCH.replace('left', 'right')} || {SWITCH}", True),
        (f"!({SWITCH}) && {SWITCH}", False),
    ],
)
def test_conditions(condition: str, wanted: bool) -> None:
    assert holds(condition, SCOPE) is wanted


def test_a_switch_that_never_ran_chooses_nothing() -> None:
    assert holds(SWITCH, {"tasks.pick.status": "Skipped"}) is False


@pytest.mark.parametrize("broken", ["{{=1 +}}", "{{=(1}}", "{{=unknown(1)}}", "{{='a' 'b'}}", "{{=}}"])
def test_what_is_not_of_the_subset_is_refused_and_not_guessed(broken: str) -> None:
    with pytest.raises(Unresolved):
        filled(broken, SCOPE)


def test_depends() -> None:
    results = {"a-b": "Succeeded", "c": "Skipped", "d": "Failed"}
    assert named("a-b.Succeeded && (c || d.Failed)") == {"a-b", "c", "d"}
    assert fulfilled("a-b.Succeeded && (c || d)", results)
    assert not fulfilled("a-b.Succeeded && d", results)
    assert fulfilled("d.Failed && !a-b.Failed", results)
    assert fulfilled("", results)


@settings(deadline=None)
@given(st.text())
def test_values_are_put_in_as_they_are(value: str) -> None:
    assert filled("<{{workflow.parameters.x}}>", {"workflow.parameters.x": value}) == f"<{value}>"
