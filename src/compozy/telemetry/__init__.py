"""Measurements and traces of this process. Nothing is collected unless it was switched on."""
