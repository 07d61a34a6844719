"""Loaded by `import metaflow`: what happens before a flow's command line is read."""

import importlib

from .vram_decorator import vram as vram

# Not by an import statement: every public name of this module would become one of Metaflow's.
importlib.import_module("metaflow_extensions.boxplat.warm.hook").install()
