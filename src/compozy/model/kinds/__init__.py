"""Kinds of model providers, one file each."""
