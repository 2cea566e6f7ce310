"""From the bytes of a document to its text, one file for each kind."""
