"""Kinds of vector stores, one file each."""
