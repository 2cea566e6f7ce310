"""The recording of a terminal in README.md: commands that were really run, as an animated SVG (`make recording`)."""
