"""The kinds of tasks, one file each: its configuration and the record that the rest of the program reads."""
