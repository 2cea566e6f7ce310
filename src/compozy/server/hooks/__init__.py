"""Webhooks: requests of other services that start runs."""
