"""Benchmarks a project's database: its own server, the same runs for each database, figures, a chart."""
