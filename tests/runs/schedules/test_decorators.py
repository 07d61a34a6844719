"""What is read off a flow's source is what Metaflow makes of the same source."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.adapters.schedules import Awaited, read, to_unix
from boxplat.core.errors import BoxError, ExitCode
from tests.runs.schedules.conftest import FLOW

# Asks Metaflow itself, with the decorators attached and initialised as for a deployment.
ORACLE = """
import importlib.util, json, sys
from metaflow.plugins.argo.argo_workflows import ArgoWorkflows
spec = importlib.util.spec_from_file_location("flow", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
flow = next(v for k, v in vars(module).items() if k.endswith("Flow"))(use_cli=False)
options = {"trigger": []}
for decorators in flow._flow_decorators.values():
    for decorator in decorators:
        decorator.flow_init(flow, None, None, None, None, None, None, options)
argo = ArgoWorkflows.__new__(ArgoWorkflows)
argo.flow = flow
triggers, _ = argo._process_triggers()
schedule, zone = argo._get_schedule()
found = [[t["name"], t.get("parameters", {})] for t in triggers]
print(json.dumps({"schedule": schedule, "zone": zone, "events": found}))
"""
WRITTEN = [
    "@schedule",
    "@schedule(hourly=True)",
    "@schedule(weekly=True, timezone='Asia/Tokyo')",
    "@schedule(daily=False)",
    "@schedule(daily=False, hourly=True)",
    "@schedule(cron='0 9 ? * 2-6 *', timezone='Europe/Berlin')",
    "@schedule(cron='*/10 8-18 1,15 * *')",
    "@trigger(event='data.ready')",
    "@trigger(events=['a', 'b-2'])",
    "@trigger(event={'name': 'a', 'parameters': {'day': 'when', 'ROWS': 'n'}})",
    "@trigger(event={'name': 'a', 'parameters': ['day', ('rows', 'n')]})",
    "@trigger(events=[{'name': 'a', 'parameters': {'day': 'd'}}, {'name': 'b'}])",
    "@trigger_on_finish(flow='IngestFlow')",
    "@trigger_on_finish(flows=['IngestFlow', {'name': 'OtherFlow'}])",
    "@schedule(weekly=True)\n@trigger(event='x')",
]


def _file(folder: Path, decorators: str) -> Path:
    path = folder / "some.py"
    path.write_text(FLOW.format(decorators=decorators, name="SomeFlow"))
    return path


@pytest.mark.integration
def test_metaflow_reads_the_same(tmp_path: Path) -> None:
    paths = []
    for number, written in enumerate(WRITTEN):
        (tmp_path / str(number)).mkdir()
        paths.append(_file(tmp_path / str(number), written))
    script = "\n".join(
        [
            "import json, sys",
            f"source = {ORACLE!r}",
            "for path in sys.argv[1:]:",
            "    sys.argv[1] = path",
            "    exec(source, {})",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for written, path, line in zip(WRITTEN, paths, done.stdout.splitlines(), strict=True):
        theirs = json.loads(line)
        _, ours = read(path)
        times = ours.times
        assert (times.text if times else None) == (
            to_unix(theirs["schedule"], "SomeFlow") if theirs["schedule"] else None
        ), written
        assert (times.zone if times else None) == ((theirs["zone"] or "UTC") if times else None), written
        lowered = [[one.name, {key.lower(): value for key, value in one.parameters.items()}] for one in ours.events]
        assert lowered == theirs["events"], written


def test_parameters_keep_the_case_that_the_flow_gives_them(tmp_path: Path) -> None:
    _, starts = read(_file(tmp_path, "@trigger(event={'name': 'a', 'parameters': {'DAY': 'd'}})"))
    assert starts.events == (Awaited("a", {"day": "d"}),)


def test_constants_aliases_and_modules_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    path.write_text(
        "import metaflow as mf\nfrom metaflow import FlowSpec, schedule as at, step\nNIGHT = '30 2 * * *'\n"
        "def schedule(*a, **k): return lambda c: c\n"
        "class Base(FlowSpec):\n    pass\n"
        "@at(cron=NIGHT, timezone='Asia/Tokyo')\n@mf.trigger(event='x')\nclass A(Base):\n"
        "    @step\n    def start(self): pass\nif __name__ == '__main__':\n    A()\n"
    )
    _, starts = read(path)
    assert starts.times is not None and (starts.times.text, starts.times.zone) == ("30 2 * * *", "Asia/Tokyo")
    assert [event.name for event in starts.events] == ["x"]
    path.write_text(path.read_text().replace("@at(", "@schedule(").replace("@mf.trigger", "@other.trigger"))
    _, starts = read(path)
    assert starts.times is None and not starts.events


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("@schedule(cron='0 9 * * 7')", "Sunday is 0"),
        ("@schedule(cron='0 9 * *')", "4 fields"),
        ("@schedule(cron='0 0 ? * 2#1 *')", "AWS"),
        ("@schedule(timezone='Europe/Berlim')", "Europe/Berlim"),
        ("@schedule(cron=7)", "a cron expression is a text"),
        ("@schedule(cron='0 %d * * *' % 3)", "computed"),
        ("@trigger()", "names no event"),
        ("@trigger(event='a', events=['b'])", "not both"),
        ("@trigger(event='a b')", "is no event"),
        ("@trigger(events=['a', 'a'])", "twice"),
        ("@trigger(event=lambda context: 'a')", "computed"),
        ("@trigger(event={'name': 'a', 'parameters': {'year': 'y'}})", "'year', which is no parameter of SomeFlow"),
        ("@trigger(event={'name': 'a', 'parameters': {'day': 'the day'}})", "no key of a payload"),
        ("@trigger(event={'name': 'a', 'parameters': [('day', 'd', 'e')]})", "a list of names and pairs"),
        ("@trigger(events='abc')", "is a list"),
        ("@trigger(event='a', options={'reset_at': '0 0 * * *'})", "reset_at is a mapping"),
        ("@schedule('0 0 * * *')", "keywords only"),
        ("@schedule(**{'cron': '0 0 * * *'})", "keywords only"),
        ("@trigger_on_finish(flow='a.b')", "is no flow"),
        ("@trigger_on_finish(flow='A')\n@trigger(event='a')", "one of them at a time"),
    ],
)
def test_what_cannot_be_honoured_is_an_error_with_four_parts(tmp_path: Path, written: str, words: str) -> None:
    with pytest.raises(BoxError) as caught:
        read(_file(tmp_path, written))
    error = caught.value
    assert words in error.why and "SomeFlow" in error.what and "box schedule list" in error.fix
    assert error.code == ExitCode.USAGE


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 70)
    | st.sampled_from(["", "a", "0 0 * * *", "name", "day", "UTC", "*/0"])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.sampled_from(["name", "parameters", "reset_at", "cron", "timezone", "day"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
_WORDS = {
    "schedule": ("cron", "timezone", "hourly", "weekly"),
    "trigger": ("event", "events", "options"),
    "trigger_on_finish": ("flow", "flows", "options"),
}


@given(data=st.data(), kind=st.sampled_from(sorted(_WORDS)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_there_is_read_or_refused_and_never_stops_the_others(
    tmp_path: Path, data: st.DataObject, kind: str
) -> None:
    given_ = data.draw(st.dictionaries(st.sampled_from(_WORDS[kind]), _VALUES, max_size=3))
    words = ", ".join(f"{name}={value!r}" for name, value in given_.items())
    try:
        read(_file(tmp_path, f"@{kind}({words})"))
    except BoxError as error:
        assert error.why and error.fix
