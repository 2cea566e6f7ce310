"""A folder of YAML becomes one checked project. `load` is the way in."""
