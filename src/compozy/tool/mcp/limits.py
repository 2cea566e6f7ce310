"""Limits of answers from an MCP server, and error codes of the transports."""

from __future__ import annotations

MAX_MESSAGE = 10 * 1024 * 1024
"""Bytes of one message of a server."""
MAX_TOOLS = 500
"""Tools of one server."""
MAX_DESCRIPTION = 8192
"""Characters of a description that a model gets."""
MAX_SCHEMA = 256 * 1024
"""Characters of the schema of one tool."""
TOO_LARGE = -32901
"""An answer is larger than `MAX_MESSAGE`: the server has executed the request."""
NOT_SENT = -32902
"""No connection: the server has not received the request."""
REFUSED = -32903
"""The rules of outbound requests refuse the request."""
LOST = -32904
"""The connection ended before the answer came. The server may have executed the request."""
