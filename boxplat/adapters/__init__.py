"""One door per foreign tool: each module is the only one that imports its tool, inside its functions."""
