"""Each check of the Python stack, provoked with a real cause."""

from __future__ import annotations

import os
import py_compile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.doctor import python
from boxplat.doctor.probe import Site


@pytest.mark.parametrize(("found", "state"), [((3, 10, 14), "fail"), ((3, 11, 0), "ok"), ((3, 14, 1), "warn")])
def test_version(found: tuple[int, ...], state: str) -> None:
    assert python.judge_version(found).state == state


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_needed_package_in_another_version(site: Callable[..., Site], tmp_path: Path) -> None:
    pins = write(tmp_path / "pins.txt", "click==0.0.1  # old", "psutil==" + metadata.version("psutil"))
    found = python.direct(site(constraints=pins))
    assert found.state == "fail"
    assert f"click is {metadata.version('click')}, not 0.0.1" in found.detail
    assert "psutil" not in found.detail
    assert str(pins) in found.fix


def test_a_needed_package_that_is_missing(
    site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "path" / "ghost_app-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", "Name: ghost-app", "Version: 1.0"]
    lines += ["Requires-Dist: No_Such.Package>=2", "Requires-Dist: psutil", "Requires-Dist: absent; extra == 'dev'"]
    write(info / "METADATA", *lines)
    monkeypatch.syspath_prepend(tmp_path / "path")
    found = python.direct(site(distribution="ghost-app"))
    assert (found.state, found.detail) == ("fail", "not installed: no-such-package")


def test_boxplat_itself_not_installed(site: Callable[..., Site]) -> None:
    assert "not installed" in python.direct(site(distribution="boxplat-of-nowhere")).detail


def test_another_pinned_package_differs_and_one_that_is_absent_does_not_matter(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    pins = write(tmp_path / "pins.txt", "PyYAML==0.1", "never-heard-of==1")
    found = python.indirect(site(constraints=pins))
    assert found.state == "warn"
    assert found.detail == f"pyyaml is {metadata.version('pyyaml')}, not 0.1"


def test_a_local_build_is_the_pinned_version(site: Callable[..., Site], tmp_path: Path) -> None:
    public = metadata.version("torch").partition("+")[0]
    assert python.indirect(site(constraints=write(tmp_path / "pins.txt", f"torch=={public}"))).state == "ok"


@given(st.text(alphabet="aZ09-_.", min_size=1, max_size=30))
@settings(deadline=None)
def test_normal_names_are_stable(name: str) -> None:
    once = python.normal(name)
    assert python.normal(once) == once
    assert "--" not in once and not set("_.Z") & set(once)


def test_byte_code_must_be_there_and_fresh(tmp_path: Path) -> None:
    source = write(tmp_path / "module.py", "x = 1")
    assert not python.compiled([source]), "never compiled"
    py_compile.compile(str(source))
    assert python.compiled([source])
    write(source, "x = 10")
    os.utime(source, (1_700_000_000, 1_700_000_000))
    assert not python.compiled([source]), "compiled from an older source"
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert python.compiled([source]), "byte code by hash carries no time"


def test_byte_code_of_another_interpreter_does_not_count(tmp_path: Path) -> None:
    source = write(tmp_path / "module.py", "x = 1")
    cache = Path(str(py_compile.compile(str(source))))
    cache.write_bytes(b"\0\0\0\0" + cache.read_bytes()[4:])
    assert not python.compiled([source])


def test_packages_without_byte_code_are_named(
    site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cold").mkdir()
    write(tmp_path / "cold" / "__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(python, "HEAVY", ("cold",))
    found = python.byte_code(site())
    assert found.state == "warn"
    assert "cold" in found.detail and "compileall" in found.fix


def test_byte_code_that_is_not_kept(site: Callable[..., Site]) -> None:
    assert python.caching(site()).state == "ok"
    found = python.caching(site(environ={"PYTHONDONTWRITEBYTECODE": "1"}))
    assert (found.state, found.fix) == ("warn", "unset PYTHONDONTWRITEBYTECODE")


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({}, "ok"),
        ({"DO_NOT_TRACK": "true"}, "ok"),
        ({"DO_NOT_TRACK": "1"}, "warn"),
        ({"BENTOML_DO_NOT_TRACK": "True"}, "ok"),
        ({"BENTOML_DO_NOT_TRACK": "yes"}, "warn"),
    ],
)
def test_telemetry_words_that_the_tools_do_not_understand(
    site: Callable[..., Site], environ: dict[str, str], state: str
) -> None:
    assert python.telemetry(site(environ=environ)).state == state


def test_another_python_first_on_path(site: Callable[..., Site], tmp_path: Path) -> None:
    other = write(tmp_path / "python", "#!/bin/sh")
    other.chmod(0o755)
    found = python.interpreter_on_path(site(environ={"PATH": str(tmp_path)}))
    assert found.state == "warn"
    assert str(other) in found.detail
    assert python.interpreter_on_path(site(environ={"PATH": str(tmp_path / "empty")})).state == "warn"
