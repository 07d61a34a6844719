"""Bodies that are compressed on their way, as Triton's clients offer it: gzip and deflate."""

from __future__ import annotations

import gzip
import zlib

from boxplat.serving.inference.failures import InferenceError

# Of less than this the answer would hardly become smaller.
_LEAST = 1024
_FASTEST = 1
_WINDOW = {"gzip": 31, "deflate": 15}


def opened(body: bytes, encoding: str, most: int | None) -> bytes:
    """A request's body.

    Args:
        most: bytes that it may have when it is opened; None: any number.

    Raises:
        InferenceError: it is compressed in another way (415), broken (400), or too large (413).
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW:
        raise InferenceError(f"Content-Encoding '{encoding}' is not known: gzip and deflate are", 415)
    machine = zlib.decompressobj(_WINDOW[encoding])
    try:
        found = machine.decompress(body, most + 1 if most is not None else 0)
    except zlib.error:
        raise InferenceError(f"the body is no valid {encoding}") from None
    if most is not None and len(found) > most:
        raise InferenceError(f"the body has more than {most} bytes when it is opened", 413)
    if not machine.eof:
        raise InferenceError(f"the {encoding} body ends too soon")
    return found


def packed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """An answer's body, compressed where the client takes that and it is worth it, and its encoding."""
    if len(body) < _LEAST or not accepted:
        return body, ""
    offered = {part.split(";")[0].strip() for part in accepted.split(",") if not part.replace(" ", "").endswith(";q=0")}
    if "gzip" in offered:
        return gzip.compress(body, _FASTEST, mtime=0), "gzip"
    if "deflate" in offered:
        return zlib.compress(body, _FASTEST), "deflate"
    return body, ""
