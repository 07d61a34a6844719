"""Outcomes: labels that arrive after the predictions, kept beside the prediction log and joined to it."""
