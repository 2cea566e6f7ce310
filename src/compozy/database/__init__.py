"""The tables, and the only SQL of the program: one Database for SQLite and PostgreSQL alike."""
