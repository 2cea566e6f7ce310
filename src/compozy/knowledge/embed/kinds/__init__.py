"""Kinds of embedders, one file each."""
