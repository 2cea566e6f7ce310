"""Starts the runs of schedules when they are due, and changes schedules on request."""
