"""Reads the spelling of the 2025 edition: nodes as they were written become nodes as they are written today."""
