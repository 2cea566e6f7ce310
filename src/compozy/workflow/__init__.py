"""What runs next: a workflow from its start over each task to its output."""
