"""Attachments: files and URLs that a model gets with a prompt."""
