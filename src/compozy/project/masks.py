"""Secrets, hidden before anything is shown."""

from __future__ import annotations

from urllib.parse import urlsplit

MASK = "********"


def mask_address(address: str) -> str:
    """Return a URL with its password hidden and its query, which may hold another, left out.

    What is no URL is hidden altogether, since it cannot be told where its password is.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return MASK
    # `user:12/ab@host`: the port may be the beginning of a password.
    if not parts.scheme or not host or (port is not None and "@" in parts.path):
        return MASK
    user = f"{parts.username}{f':{MASK}' if parts.password is not None else ''}@" if parts.username is not None else ""
    shown_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{user}{shown_host}{f':{port}' if port is not None else ''}{parts.path}"
