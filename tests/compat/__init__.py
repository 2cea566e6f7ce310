"""Projects with the spelling of the 2025 edition."""
