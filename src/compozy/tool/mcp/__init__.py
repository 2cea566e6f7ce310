"""MCP servers as sources of tools: their configuration, their connections, and their tools."""
