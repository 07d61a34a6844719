"""What a supervisor ends when it takes over, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from boxplat.core import processes
from boxplat.core.paths import Paths
from boxplat.supervisor import leftovers

FORKS = """
import os
import time
print("ready", flush=True)
for _ in range(400):
    pid = os.fork()
    if pid == 0:
        time.sleep(0.002)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "a child was ended"
"""


@pytest.mark.integration
def test_what_a_kept_process_starts_during_the_sweep_lives(project: Path) -> None:
    paths = Paths(project)
    paths.create()
    env = os.environ | {processes.MARKER: str(paths.state)}
    kept = subprocess.Popen([sys.executable, "-c", FORKS], env=env, stdout=subprocess.PIPE)
    stray = subprocess.Popen([sys.executable, "-c", "input()"], env=env, stdin=subprocess.PIPE)
    assert kept.stdout is not None
    assert kept.stdout.readline() == b"ready\n"
    waited = threading.Thread(target=stray.wait)
    waited.start()
    ended = leftovers.sweep(paths, {kept.pid})
    assert stray.pid in ended
    waited.join(60)
    while kept.poll() is None:
        assert leftovers.sweep(paths, {kept.pid}) == []
    assert kept.returncode == 0
