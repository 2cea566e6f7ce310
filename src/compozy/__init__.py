"""Compozy: AI workflows written in YAML, every step durable in one database."""

__all__ = ["__version__"]

__version__ = "0.1.0"
