"""What is done with a project's database as a whole: `compozy db`."""
