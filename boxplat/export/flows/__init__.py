"""Flows as Argo runs them: compiled by Metaflow, sized, guarded, and started by time or event."""
