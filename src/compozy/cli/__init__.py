"""Words on a terminal, and no logic: each command calls one verb of the program and prints what it returns."""
