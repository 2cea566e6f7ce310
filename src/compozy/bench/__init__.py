"""How fast a project's database is: a server of its own, the same runs for each, figures, a chart."""
