"""The trigger types, one module each."""
