"""One task of a workflow: its configuration, what its templates see, and how each kind runs."""
