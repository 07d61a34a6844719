"""export images."""

from __future__ import annotations

import os

import click

from boxplat import images_table, render
from boxplat.cli.base import json_option, next_step, progress, say, the_box


@click.command()
@click.option("--output", "-o", type=click.Path(file_okay=False), help="Write the folders that images are built from.")
@click.option("--build", is_flag=True, help="Build them with the Docker engine.")
@click.option("--push", is_flag=True, help="Build and push them; manifests then name them by digest.")
@click.option("--only", multiple=True, metavar="COMPONENT", help="Instead of all; may be repeated.")
@click.option("--variant", default="cpu", show_default=True, help="Of PyTorch: cpu or cuda.")
@click.option("--build-arg", multiple=True, metavar="NAME[=VALUE]", help="For Docker; without a value, the variable's.")
@click.option("--wheels", type=click.Path(file_okay=False), help="A folder of packages to take first.")
@click.option("--record", type=click.Path(dir_okay=False), help="A JSON file of images that were pushed elsewhere.")
@json_option
def images(
    output: str | None,
    build: bool,
    push: bool,
    only: tuple[str, ...],
    variant: str,
    build_arg: tuple[str, ...],
    wheels: str | None,
    record: str | None,
    as_json: bool,
) -> None:
    """A Dockerfile and a lock for each component: listed, written, built, pushed."""
    export = the_box().export
    if record is not None:
        export.record_images(record)
    if output is not None:
        files = export.write_images(output, only)
        say(f"wrote {len(files)} files to {output}")
    arguments = dict(_argument(text) for text in build_arg)
    made = export.images(build, push, only, variant, arguments, wheels, progress)
    click.echo(render.as_json(images=made) if as_json else images_table.table(made))
    next_step("box export kubernetes -o DIR" if push else "box export images --build")


def _argument(text: str) -> tuple[str, str]:
    """As `docker build` has it: a value that nobody else should see comes from the environment."""
    name, given, value = text.partition("=")
    return name, value if given else os.environ.get(name, "")
