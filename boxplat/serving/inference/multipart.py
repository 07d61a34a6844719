"""A request's body with files, as BentoML's application takes it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import to_json


def form(found: Mapping[str, Any], files: Collection[str]) -> tuple[bytes, str]:
    """A multipart form and its content type.

    Args:
        found: the fields; those of `files` are bytes.
    """
    boundary = secrets.token_hex(16)
    lines = []
    for name, value in found.items():
        if name in files:
            head, content = f'; filename="{name}"\r\nContent-Type: application/octet-stream', value
        else:
            head, content = "\r\nContent-Type: application/json", to_json(value, inf_nan_mode="constants")
        start = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'
        lines += [start.encode(), content, b"\r\n"]
    return b"".join([*lines, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
