"""Clients that code generators make of the OpenAPI document, used against a running server."""
