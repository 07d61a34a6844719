"""The S3-compatible server: private, on loopback, and gone with its user."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.verify import storage as storage_of_export
from boxplat.export.verify.storage import Storage, free_ports

pytestmark = pytest.mark.integration
USER = """\
import sys
from pathlib import Path
from boxplat.export.verify.storage import serve
with serve(Path(sys.argv[1])) as storage:
    print(storage.endpoint, flush=True)
    sys.stdin.read()
"""


def test_only_the_drawn_keys_get_in(storage: Storage) -> None:
    key = "storage/secret"
    storage.client().put_object(Bucket=storage.bucket, Key=key, Body=b"x")
    guessed = Storage(storage.endpoint, storage.bucket, storage.access_key, "guessed")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        guessed.client().get_object(Bucket=storage.bucket, Key=key)
    assert storage.client().get_object(Bucket=storage.bucket, Key=key)["Body"].read() == b"x"
    assert storage.secret_key not in repr(storage)


def test_it_listens_on_loopback_only_and_ends_with_its_user(tmp_path: Path) -> None:
    short = Path(os.path.relpath(tmp_path))
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(short.resolve())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdout is not None
    assert user.stdout.readline().startswith("http://127.0.0.1:")
    (server,) = psutil.Process(user.pid).children()
    listening = {one.laddr.ip for one in server.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    # Not in the machine's folder for temporary files, where they would stay.
    assert any(tmp_path.glob("weed*INFO*"))
    os.kill(user.pid, signal.SIGKILL)
    user.wait()
    psutil.wait_procs([server], timeout=60)
    assert not server.is_running()


def test_a_port_that_somebody_takes_meanwhile_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that somebody takes connections and never answers."""
    drawn = [free_ports(8), free_ports(8)]
    monkeypatch.setattr(storage_of_export, "free_ports", lambda count: drawn.pop(0))
    with socket.socket() as other:
        other.bind(("127.0.0.1", drawn[0][storage_of_export._PORTS.index("s3.port")]))
        other.listen()
        with storage_of_export.serve(tmp_path) as storage:
            storage.client().put_object(Bucket=storage.bucket, Key="k", Body=b"x")
            assert not drawn


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The complaint, not the stack of Go that follows it."""
    taken = free_ports(8)
    monkeypatch.setattr(storage_of_export, "free_ports", lambda count: taken)
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken[0]))
        other.listen()
        with pytest.raises(BoxError) as refused, storage_of_export.serve(tmp_path):
            pass
    assert refused.value.code == ExitCode.FAILED and refused.value.log == str(tmp_path / "log")
    (why,) = refused.value.why.splitlines()
    assert f"127.0.0.1:{taken[0]}" in why and "address already in use" in why
