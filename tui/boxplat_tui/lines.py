"""Bytes of a log into lines that are safe to draw on a terminal."""

from __future__ import annotations

import codecs
import re

LONGEST = 4096
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Halves of surrogate pairs too: no terminal could be sent one, and the attempt would end the drawing for good.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` as one line without escape sequences, control characters and changes of writing direction.

    What a carriage return overwrote (a progress bar) is left out; a line of more than `longest` characters is cut.
    """
    text = _ESCAPES.sub("", text).rstrip("\r\n")
    text = _CONTROLS.sub("�", text.rsplit("\r", 1)[-1].expandtabs())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def without_controls(text: str) -> str:
    """`text` without control characters and changes of writing direction: as many terminal cells as before."""
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub("", text)


class LineSplitter:
    """Cuts chunks of bytes into clean lines; an unfinished one waits, `LONGEST` characters of it at most."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        self._rest = rest[: LONGEST + 1]
        return [clean(line) for line in lines]

    def flush(self) -> list[str]:
        """The unfinished line, if there is one."""
        rest, self._rest = self._rest, ""
        return [clean(rest)] if rest else []
