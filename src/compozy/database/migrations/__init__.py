"""Alembic revisions: one folder per dialect, the same revision ids in each."""
