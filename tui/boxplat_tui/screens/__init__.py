"""One module per screen; each shows a snapshot and knows no SQL."""
