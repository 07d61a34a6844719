"""The step decorator that says how much GPU memory a step needs. Anywhere but in a box it does nothing."""

from metaflow.decorators import StepDecorator


class Vram(StepDecorator):
    """
    Specifies the GPU memory needed when executing this step.

    Steps with this decorator can share a GPU when they run in a boxplat box; elsewhere, on a cluster for one, it
    changes nothing.

    Parameters
    ----------
    memory : int or str, optional, default None
        GPU memory on each of the step's devices: MB as a number, or with a unit as in "6G" or "6Gi". A step that says
        nothing about its use of a GPU gets all of it.
    """

    name = "vram"
    defaults = {"memory": None}  # noqa: RUF012 - Metaflow's base class declares it without a type
