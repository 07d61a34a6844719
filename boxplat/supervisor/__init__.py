"""Desired state in, processes out: the one program that starts and stops everything of a box."""
