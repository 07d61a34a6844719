"""Bento services: building one and running one, each in a process of its own. BentoML is imported inside functions."""
