"""The terminal recording in README.md: commands that were really executed, as an animated SVG (`make recording`)."""
