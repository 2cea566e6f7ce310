"""Whole workflow runs, from the start over each task to the output."""
