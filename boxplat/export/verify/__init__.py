"""Proof by execution: the exported flows run here, and what they made is compared with the local runs."""
