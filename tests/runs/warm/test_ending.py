"""A flow's process ends early only where nothing is left to be done, and always with its own status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.warm.test_doubts import EXTENSION, PACKAGE

END = f"""
import gc
from {PACKAGE}.ending import Ending
gc.freeze()
{{0}}
Ending(None).leave(0)
print("in full")
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", ""),
        ("file = open('text', 'w'); file.write('kept')", "in full\n"),
        # As a thread leaves it that is stopped while it makes one.
        ("import io; file = io.BufferedWriter.__new__(io.BufferedWriter)", "in full\n"),
        ("import io; file = type('Odd', (io.RawIOBase,), {'writable': lambda one: 1 / 0})()", "in full\n"),
    ],
    ids=["nothing", "what is not written yet", "half a file", "a file of its own kind"],
)
def test_what_is_left_is_ended_by_the_interpreter(code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(END.format(code))
    env = {**os.environ, "PYTHONPATH": str(EXTENSION)}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert not (tmp_path / "text").exists() or (tmp_path / "text").read_text() == "kept"
