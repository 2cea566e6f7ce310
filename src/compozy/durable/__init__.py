"""Durable execution on DBOS: the only package that imports dbos, and one that knows neither YAML nor agents."""
