"""The terminal dashboard of boxplat: it reads snapshots, and acts by starting `box` commands."""
