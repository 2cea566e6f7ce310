"""The database as a whole: moved to another one, backed up, checked, and freed of what is old."""
