"""HTTP requests to hosts that data names: documents at URLs, and tools."""
