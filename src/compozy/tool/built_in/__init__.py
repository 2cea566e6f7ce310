"""The tools that Compozy brings, `cp__*`: files below one folder, commands that the project names, and web requests."""
