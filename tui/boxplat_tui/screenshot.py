"""A picture: `python -m boxplat_tui.screenshot OUT.svg [--keys 2,enter] [--size 140x40] [--project DIR]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from boxplat_tui.app import BoxApp
from boxplat_tui.frame import frame


def main() -> None:
    """Take a picture of a real box and write it as SVG."""
    from boxplat.box import Box

    parser = argparse.ArgumentParser(prog="python -m boxplat_tui.screenshot", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--keys", default="", help="pressed before the picture, with commas between: 2,enter")
    parser.add_argument("--size", default="140x40", help="columns x rows")
    parser.add_argument("--project", default=".")
    arguments = parser.parse_args()
    columns, rows = (int(part) for part in arguments.size.split("x"))
    keys = tuple(key for key in arguments.keys.split(",") if key)
    app = BoxApp(Box(arguments.project))
    picture = frame(app, (columns, rows), keys, lambda seen: seen.export_screenshot(title="box tui"))
    arguments.output.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
