"""The command line: parse, call the `Box` method of the same name, show what it returns."""

from __future__ import annotations

from boxplat.cli.root import box


def main() -> None:
    """Entry point of `box` and `boxplat`."""
    box(prog_name="box")


__all__ = ["box", "main"]
