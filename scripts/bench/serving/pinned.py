"""Runs a Python command on some cores only: `python pinned.py CORES ARGUMENTS OF PYTHON`."""

import os
import sys

if __name__ == "__main__":
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
