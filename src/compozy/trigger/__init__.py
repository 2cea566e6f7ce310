"""Triggers: what starts runs of a workflow besides commands and requests to the API."""
