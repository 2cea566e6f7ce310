"""Alembic's entry: run the revisions on the connection that `compozy.database.migrate` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="compozy_version")
context.run_migrations()
