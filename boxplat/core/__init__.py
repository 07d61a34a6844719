"""The floor that everything stands on: nouns, errors, configuration, state, references. Standard library only."""
