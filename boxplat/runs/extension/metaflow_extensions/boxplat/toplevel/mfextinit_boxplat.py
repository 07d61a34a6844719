"""Names the module that Metaflow loads last of all when it is imported."""

toplevel = "start"
