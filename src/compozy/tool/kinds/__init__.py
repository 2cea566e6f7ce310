"""The kinds of tools, one file each: the record that the rest of the program reads."""
