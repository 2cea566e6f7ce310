"""Conversations that agents remember: what is kept of them, and how it is redacted, trimmed and stored."""
