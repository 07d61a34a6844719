"""What speaks against forking a process is found, and what does not is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from boxplat.adapters.flows import EXTENSION

PACKAGE = "metaflow_extensions.boxplat.warm"
LOOK = f"""
from {PACKAGE} import doubts, module_code
{{0}}
import sys
print(doubts.first_doubt() or module_code.doubt() or "", file=sys.__stderr__)
"""

SPEAKS = {
    "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()": "started threads",
    "import subprocess; child = subprocess.Popen(['sleep', '9'], stdout=-3, stderr=-3)": "started processes",
    "import signal; signal.alarm(60)": "a timer is set",
    "file = open(__file__)": "open",
    "import socket; one = socket.socket()": "socket:",
    "import os; ends = os.pipe()": "pipe:",
    "import select; poll = select.epoll()": "eventpoll",
    "import mmap; shared = mmap.mmap(-1, 4096)": "share memory",
    "import multiprocessing; lock = multiprocessing.Lock()": "share memory",
    "import sqlite3; db = sqlite3.connect('x.db'); db.execute('create table t (a)')": "x.db",
    "import random\ndef draw(): random.random()\ndraw()": "random numbers were seeded or drawn",
    "import random\ndef fix(): random.seed(1)\nfix()": "random numbers were seeded or drawn",
    "import random; random.seed(1)": "random numbers were seeded or drawn",
    "import sys; sys.settrace(lambda *_: None)": "debugger",
    "import io, sys; sys.stdout = io.StringIO()": "standard streams",
    "import gc; gc.disable()": "garbage collector",
    "import sys; words = sys.argv[1:]": "uses argv",
    "import os; class_ = type('C', (), {}); pid = os.getpid()": "uses getpid",
    "class Flow:\n    import uuid\n    name = uuid.uuid4().hex": "uses uuid4",
    "import tempfile\nfolders = [tempfile.mkdtemp() for _ in range(1)]": "uses mkdtemp",
    "import numpy as np; np.random.seed(0)": "uses seed",
    "import numpy as np\ndef made(): return np.random.default_rng()\nrng = made()": "makes rng",
    "def set_seeds(): pass\nset_seeds()": "uses set_seeds",
}
DOES_NOT = (
    "",
    "SEED = 42\nseed = SEED",
    "import random\ndef seeded(): random.seed(1)",
    "import logging, sys; logging.basicConfig(stream=sys.stderr)",
    "import numpy, pandas, sklearn",
    "import os; level = os.environ.get('LEVEL', 'info'); null = open('/dev/null')",
)


def look(folder: Path, code: str, *options: str, passed: tuple[int, ...] = ()) -> str:
    """What is found in a script that imports the extension, as Metaflow does, and then runs `code`."""
    script = folder / "script.py"
    script.write_text(LOOK.format(code))
    env = {**os.environ, "PYTHONPATH": str(EXTENSION)}
    command = [sys.executable, *options, str(script)]
    with subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=passed
    ) as done:
        return done.communicate()[1].decode().strip()


@pytest.mark.parametrize("code", SPEAKS)
def test_what_speaks_against_it(code: str, tmp_path: Path) -> None:
    assert SPEAKS[code] in look(tmp_path, code)


@pytest.mark.parametrize("code", DOES_NOT)
def test_what_does_not(code: str, tmp_path: Path) -> None:
    assert look(tmp_path, code) == ""


def test_options_of_python_speak_against_it(tmp_path: Path) -> None:
    assert "options of its own" in look(tmp_path, "", "-O")


def test_what_the_starter_left_open_does_not(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        assert look(tmp_path, "", passed=(lock.fileno(),)) == ""


FORK = "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nfound = doubts.native_threads()\nos.waitpid(pid, 0)"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy; numpy.ones((300, 300)) @ numpy.ones((300, 300))", ""),
        ("import duckdb; db = duckdb.connect(); db.execute('select 1')", "started"),
    ],
    ids=["OpenBLAS ends its threads before a fork", "DuckDB does not"],
)
def test_threads_that_outlive_the_preparation_of_a_fork(code: str, expected: str, tmp_path: Path) -> None:
    found = look(tmp_path, f"{code}\n{FORK}\nimport sys; print(found or '', file=sys.stderr); os._exit(0)")
    assert expected in found if expected else found == ""
