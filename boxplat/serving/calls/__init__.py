"""From a call of an API to the user's function: waiting, batches, threads."""
