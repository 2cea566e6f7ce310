"""Triggers: ways to start runs of a workflow, besides commands and requests to the API."""
