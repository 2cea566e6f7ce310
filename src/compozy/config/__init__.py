"""Settings, and YAML files whose every value knows its place."""
