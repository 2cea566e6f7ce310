"""The MCP server: workflows as tools, over HTTP and over standard input and output."""
